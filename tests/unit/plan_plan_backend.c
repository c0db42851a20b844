/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

TestSuite(backend, .init = fixture_init, .fini = fixture_done);

#define IPTABLES_V4(what) fx.facts.family[FAMILY_V4].ability[BACKEND_IPTABLES].what
#define IPTABLES_V6(what) fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].what
#define NFTABLES_V4(what) fx.facts.family[FAMILY_V4].ability[BACKEND_NFTABLES].what
#define NFTABLES_V6(what) fx.facts.family[FAMILY_V6].ability[BACKEND_NFTABLES].what

static void with_nftables(void)
{
	NFTABLES_V4(no_redirect) = NFTABLES_V6(no_redirect) = NULL;
}

static void expect_backend(const char *config, enum backend_choice backend)
{
	fx.diags.n = 0;
	build_run(config);
	expect_accepted();
	cr_expect_eq(fx.plan.backend, backend);
}

Test(backend, is_iptables_where_it_can_do_everything)
{
	with_nftables();
	expect_backend("", BACKEND_IPTABLES);
	expect_silent(SEVERITY_NOTICE, "nftables");
}

Test(backend, is_nftables_beside_nat_rules_of_others_there)
{
	with_nftables();
	fx.facts.nft_nat_foreign = true;
	expect_backend("", BACKEND_NFTABLES);
	expect_said(SEVERITY_NOTICE, "backend", "nftables is used: nat rules of others");
}

Test(backend, stays_iptables_where_nftables_cannot_be_used)
{
	fx.facts.nft_nat_foreign = true;
	expect_backend("", BACKEND_IPTABLES);
	expect_said(SEVERITY_NOTICE, "backend", "iptables is used: nat rules of others");
}

Test(backend, stays_what_is_in_use)
{
	with_nftables();
	fx.facts.backend = BACKEND_IPTABLES;
	fx.facts.nft_nat_foreign = true;
	expect_backend("", BACKEND_IPTABLES);
	expect_silent(SEVERITY_NOTICE, "nftables");
	cr_expect_null(fx.plan.backend_why);
	fx.facts.backend = BACKEND_NFTABLES;
	expect_backend("", BACKEND_NFTABLES);
	cr_expect(fx.plan.backend_why);
	fx.facts.nft_nat_foreign = false;
	expect_backend("", BACKEND_NFTABLES);
	cr_expect_null(fx.plan.backend_why);
	/* What the configuration names counts, and is refused by whoever compares. */
	expect_backend("backend: iptables\n", BACKEND_IPTABLES);
}

Test(backend, is_not_questioned_where_it_was_chosen)
{
	with_nftables();
	fx.facts.nft_nat_foreign = true;
	expect_backend("backend: iptables\n", BACKEND_IPTABLES);
	expect_silent(SEVERITY_NOTICE, "nftables");
}

Test(backend, is_nftables_without_legacy_tables)
{
	with_nftables();
	IPTABLES_V4(no_redirect) = IPTABLES_V6(no_redirect) = "no ip_tables";
	expect_backend("", BACKEND_NFTABLES);
	cr_expect(fx.plan.family[FAMILY_V6].enabled);
}

Test(backend, is_nftables_where_only_that_redirects_ipv6)
{
	with_nftables();
	IPTABLES_V6(no_redirect) = "no ip6_tables";
	expect_backend("", BACKEND_NFTABLES);
	cr_expect(fx.plan.family[FAMILY_V6].enabled);
}

Test(backend, is_iptables_where_ipv6_is_not_to_be_redirected)
{
	with_nftables();
	IPTABLES_V6(no_redirect) = "no ip6_tables";
	expect_backend("ipFamilyMode: ipv4\n", BACKEND_IPTABLES);
}

Test(backend, is_nftables_where_only_that_has_zones)
{
	with_nftables();
	IPTABLES_V4(no_zones) = "no raw table";
	expect_backend("redirect: { dns: { enabled: true } }\n", BACKEND_NFTABLES);
	cr_expect(fx.plan.family[FAMILY_V4].dns_zones);
}

Test(backend, is_iptables_where_zones_are_not_asked_for)
{
	with_nftables();
	IPTABLES_V4(no_zones) = "no raw table";
	expect_backend("", BACKEND_IPTABLES);
	expect_backend("redirect: { dns: { enabled: true, skipConntrackZoneSplit: true } }\n",
		       BACKEND_IPTABLES);
}

Test(backend, is_nftables_where_only_that_drops_invalid_packets)
{
	with_nftables();
	IPTABLES_V4(no_drop_invalid) = "no mangle table";
	expect_backend("", BACKEND_IPTABLES);
	expect_backend("dropInvalidPackets: true\n", BACKEND_NFTABLES);
	cr_expect(fx.plan.family[FAMILY_V4].drop_invalid);
}

/* What most plans do without counts where it is asked for. */
Test(backend, is_iptables_where_nftables_lacks_what_is_asked_for)
{
	with_nftables();
	fx.facts.nft_nat_foreign = true;
	expect_backend("", BACKEND_NFTABLES);
	NFTABLES_V4(no_log) = "cannot log";
	expect_backend("", BACKEND_NFTABLES);
	expect_backend("log: { enabled: true }\n", BACKEND_IPTABLES);
	NFTABLES_V4(no_refusal) = "cannot refuse";
	expect_backend("", BACKEND_NFTABLES);
	NFTABLES_V4(no_local) = "cannot find out";
	expect_backend("", BACKEND_NFTABLES);
	fx.facts.family[FAMILY_V4].unnumbered = "tun0";
	expect_backend("", BACKEND_IPTABLES);
	cr_expect(fx.plan.family[FAMILY_V4].unnumbered);
	fx.diags.n = 0;
	expect_backend("backend: nftables\n", BACKEND_NFTABLES);
	cr_expect_not(fx.plan.family[FAMILY_V4].unnumbered);
	expect_said(SEVERITY_WARNING, "backend", "without an address (tun0)");
}

/* Neither can do everything. */
Test(backend, is_whichever_can_redirect_ipv4)
{
	NFTABLES_V4(no_redirect) = NULL;
	IPTABLES_V4(no_redirect) = "no ip_tables";
	expect_backend("", BACKEND_NFTABLES);
	cr_expect_not(fx.plan.family[FAMILY_V6].enabled);
	IPTABLES_V4(no_redirect) = NULL;
	IPTABLES_V6(no_redirect) = "no ip6_tables";
	expect_backend("", BACKEND_IPTABLES);
}

Test(backend, is_iptables_for_what_firewalld_stores)
{
	with_nftables();
	fx.facts.nft_nat_foreign = true;
	build_install("storeFirewalld: true\n");
	expect_accepted();
	cr_expect_eq(fx.plan.backend, BACKEND_IPTABLES);
}

Test(backend, tells_what_this_kernel_does_not_do_for_it)
{
	with_nftables();
	NFTABLES_V4(no_owner) = "no owner";
	expect_backend("backend: iptables\n", BACKEND_IPTABLES);
	cr_expect_null(fx.plan.backend_limit);
	expect_silent(SEVERITY_NOTICE, "no owner");
	expect_backend("backend: nftables\n", BACKEND_NFTABLES);
	cr_expect_str_eq(fx.plan.backend_limit, "no owner");
	expect_said(SEVERITY_NOTICE, "backend", "no owner");
	fx.diags.n = 0;
	build_install("backend: nftables\n");
	cr_expect_null(fx.plan.backend_limit);
	expect_silent(SEVERITY_NOTICE, "no owner");
}

Test(backend, warns_of_what_nftables_service_loads)
{
	fx.facts.nft_boot_file = "/etc/nftables.conf";
	expect_backend("", BACKEND_IPTABLES);
	expect_said(SEVERITY_WARNING, "backend", "/etc/nftables.conf has a table of tproxyd in it");
	fx.diags.n = 0;
	build_install("");
	expect_silent(SEVERITY_WARNING, "has a table of tproxyd");
}

Test(backend, warns_of_nat_rules_that_come_first)
{
	fx.facts.nft_nat_first = -100;
	expect_backend("", BACKEND_IPTABLES);
	expect_silent(SEVERITY_WARNING, "comes before the redirect");
	fx.facts.nft_nat_before = "ip other nat";
	expect_backend("", BACKEND_IPTABLES);
	expect_said(SEVERITY_WARNING, "backend", "comes before the redirect (ip other nat)");
}

Test(backend, tells_of_rules_that_exempt_nothing_from_nftables)
{
	with_nftables();
	fx.facts.nft_nat_exempt = "ip nat OUTPUT";
	expect_backend("backend: iptables\n", BACKEND_IPTABLES);
	expect_silent(SEVERITY_NOTICE, "return or accept");
	expect_backend("backend: nftables\n", BACKEND_NFTABLES);
	expect_said(SEVERITY_NOTICE, "backend", "return or accept in nat (ip nat OUTPUT)");
	fx.facts.nft_nat_exempt = NULL;
	fx.facts.family[FAMILY_V6].nat_exempt = true;
	expect_backend("backend: nftables\n", BACKEND_NFTABLES);
	expect_said(SEVERITY_NOTICE, "backend", "return or accept in nat (a legacy table)");
}

Test(backend, is_refused_with_both_reasons)
{
	IPTABLES_V4(no_redirect) = "no ip_tables";
	build_run("");
	expect_refused("backend", "no ip_tables, and no nf_tables");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(backend, is_refused_where_the_chosen_one_cannot_be_used)
{
	with_nftables();
	IPTABLES_V4(no_redirect) = "no ip_tables";
	build_run("backend: iptables\n");
	expect_refused("backend", "no ip_tables");
}

Test(backend, is_iptables_where_rules_are_only_printed)
{
	IPTABLES_V4(no_redirect) = "no ip_tables";
	build_install("dryRun: true\n");
	expect_accepted();
	cr_expect_eq(fx.plan.backend, BACKEND_IPTABLES);
}

#define DNS "redirect: { dns: { enabled: true } }\n"

Test(backend, meets_dockers_resolver_where_its_own_rules_are)
{
	with_nftables();
	NFTABLES_V4(docker_output) = true;
	expect_backend(DNS "backend: iptables\n", BACKEND_IPTABLES);
	cr_expect_not(fx.plan.family[FAMILY_V4].docker_output);
	expect_backend(DNS "backend: nftables\n", BACKEND_NFTABLES);
	cr_expect(fx.plan.family[FAMILY_V4].docker_output);
	cr_expect_not(fx.plan.family[FAMILY_V6].docker_output);
}
