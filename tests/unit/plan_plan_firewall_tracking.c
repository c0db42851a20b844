/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

TestSuite(tracking, .init = fixture_init, .fini = fixture_done);

static struct filter_chain chains[4];
static struct filter_step steps[4][4];

/* A chain of one family in which a rule keeps the ports from lo to hi from being tracked. */
static void untracked(enum filter_topic topic, enum family family, uint16_t lo, uint16_t hi,
		      enum filter_fate fate)
{
	static const char rule[] = "rule 1 of chain X";
	size_t n = 0;

	if (lo > 1)
		steps[topic][n++] =
			(struct filter_step){ (uint16_t)(lo - 1), .direct.fate = FILTER_ACCEPTS };
	steps[topic][n++] = (struct filter_step){ hi, .direct = { fate, rule, rule } };
	if (hi < UINT16_MAX)
		steps[topic][n++] =
			(struct filter_step){ UINT16_MAX, .direct.fate = FILTER_ACCEPTS };
	chains[fx.facts.firewall.n++] = (struct filter_chain){
		.topic = topic, .family = family, .name = "X", .items = steps[topic], .n = n
	};
	fx.facts.firewall.items = chains;
}

Test(tracking, is_missed_by_inbound_connections)
{
	untracked(TRACKING_INBOUND, FAMILY_V4, 8000, 8080, FILTER_DROPS);
	build_run("");
	expect_said(
		SEVERITY_WARNING, NULL,
		"rule 1 of chain X turns connection tracking off for inbound TCP connections "
		"(port 8000-8080): they are not redirected and go past the mesh, or get no answer");
}

Test(tracking, is_missed_perhaps)
{
	untracked(TRACKING_OUTBOUND, FAMILY_V6, 1, UINT16_MAX, FILTER_MAY_DROP);
	build_run("");
	expect_said(SEVERITY_WARNING, NULL,
		    "may turn connection tracking off for outbound TCP connections (port 1-65535)");
}

Test(tracking, is_missed_by_dns_queries_where_they_are_redirected)
{
	untracked(TRACKING_DNS, FAMILY_V4, 53, 53, FILTER_DROPS);
	build_run("redirect: {dns: {enabled: true}}\n");
	expect_said(SEVERITY_WARNING, NULL, "off for DNS queries of this host");
	fixture_done();
	fixture_init();
	untracked(TRACKING_DNS, FAMILY_V4, 53, 53, FILTER_DROPS);
	build_run("");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}

Test(tracking, is_not_missed_where_nothing_is_redirected)
{
	untracked(TRACKING_INBOUND, FAMILY_V4, 22, 22, FILTER_DROPS);
	untracked(TRACKING_OUTBOUND, FAMILY_V6, 80, 80, FILTER_DROPS);
	build_run("ipFamilyMode: ipv4\n");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}

Test(tracking, is_not_missed_by_ports_that_are_excluded)
{
	untracked(TRACKING_INBOUND, FAMILY_V4, 80, 80, FILTER_DROPS);
	untracked(TRACKING_OUTBOUND, FAMILY_V4, 443, 443, FILTER_DROPS);
	build_run("redirect: {inbound: {excludePorts: [80]}, outbound: {excludePorts: [443]}}\n");
	expect_silent(SEVERITY_WARNING, "connection tracking");
}
