/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

TestSuite(tracking, .init = fixture_init, .fini = fixture_done);

static struct filter_chain chains[3];
static struct filter_step steps[3][4];

/* A chain of one family in which a rule keeps the ports from lo to hi from being tracked. */
static void untracked(struct facts_firewall *of, enum family family, uint16_t lo, uint16_t hi,
		      enum filter_fate fate)
{
	static const char rule[] = "rule 1 of chain X";
	size_t at = (size_t)(of - &fx.facts.tracking.inbound), n = 0;

	if (lo > 1)
		steps[at][n++] =
			(struct filter_step){ (uint16_t)(lo - 1), .direct.fate = FILTER_ACCEPTS };
	steps[at][n++] = (struct filter_step){ hi, .direct = { fate, rule, rule } };
	if (hi < UINT16_MAX)
		steps[at][n++] = (struct filter_step){ UINT16_MAX, .direct.fate = FILTER_ACCEPTS };
	chains[at] = (struct filter_chain){ .name = "X" };
	chains[at].family[family].items = steps[at];
	chains[at].family[family].n = n;
	*of = (struct facts_firewall){ &chains[at], 1 };
}

Test(tracking, is_missed_by_inbound_connections)
{
	untracked(&fx.facts.tracking.inbound, FAMILY_V4, 8000, 8080, FILTER_DROPS);
	build_run("");
	expect_said(
		SEVERITY_WARNING, NULL,
		"rule 1 of chain X turns connection tracking off for inbound TCP connections "
		"(port 8000-8080): they are not redirected and go past the mesh, or get no answer");
}

Test(tracking, is_missed_perhaps)
{
	untracked(&fx.facts.tracking.outbound, FAMILY_V6, 1, UINT16_MAX, FILTER_MAY_DROP);
	build_run("");
	expect_said(SEVERITY_WARNING, NULL,
		    "may turn connection tracking off for outbound TCP connections (port 1-65535)");
}

Test(tracking, is_missed_by_dns_queries_where_they_are_redirected)
{
	untracked(&fx.facts.tracking.dns, FAMILY_V4, 53, 53, FILTER_DROPS);
	build_run("redirect: {dns: {enabled: true}}\n");
	expect_said(SEVERITY_WARNING, NULL, "off for DNS queries of this host");
	fixture_done();
	fixture_init();
	untracked(&fx.facts.tracking.dns, FAMILY_V4, 53, 53, FILTER_DROPS);
	build_run("");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}

Test(tracking, is_not_missed_where_nothing_is_redirected)
{
	untracked(&fx.facts.tracking.inbound, FAMILY_V4, 22, 22, FILTER_DROPS);
	untracked(&fx.facts.tracking.outbound, FAMILY_V6, 80, 80, FILTER_DROPS);
	build_run("ipFamilyMode: ipv4\n");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}

Test(tracking, is_not_missed_by_ports_that_are_excluded)
{
	untracked(&fx.facts.tracking.inbound, FAMILY_V4, 80, 80, FILTER_DROPS);
	untracked(&fx.facts.tracking.outbound, FAMILY_V4, 443, 443, FILTER_DROPS);
	build_run("redirect: {inbound: {excludePorts: [80]}, outbound: {excludePorts: [443]}}\n");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}
