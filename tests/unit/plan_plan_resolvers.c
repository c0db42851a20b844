/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define ALL    "redirect.dns.captureAll"
#define LISTED "redirect.dns.resolvConfigPath"
#define CIRCLE "run in a circle"

static struct facts_socket sockets[4];

static void begin(void)
{
	fixture_init();
	fx.facts.dns_sockets.items = sockets;
}

TestSuite(resolvers, .init = begin, .fini = fixture_done);

static void serves(const char *addr, uid_t uid)
{
	struct ip_addr all = { .family = strchr(addr, ':') ? FAMILY_V6 : FAMILY_V4 };
	bool any = !strcmp(addr, "0.0.0.0") || !strcmp(addr, "::");

	sockets[fx.facts.dns_sockets.n++] =
		(struct facts_socket){ .addr = any ? all : address(addr), .port = 53, .uid = uid };
}

/* What redirect.dns.resolvConfigPath names, and /etc/resolv.conf, which the mesh's resolver asks; of what was said
 * before nothing counts. */
static void names(const char *redirected, const char *asked)
{
	fx.diags = (struct diag_list){ .arena = &fx.arena };
	fx.facts.resolv_conf = file_with(redirected);
	fx.facts.mesh_resolv_conf = file_with(asked);
}

static void build_all(void)
{
	build_run("redirect: {dns: {captureAll: true}}\n");
}

static void build_listed(void)
{
	build_run("redirect: {dns: {enabled: true}}\n");
}

static void expect_exempt(size_t n, uid_t uid)
{
	const struct uid_exclusion_list *list = &fx.plan.exclude_uids;

	expect_accepted();
	cr_assert_eq(list->n, n, "%s", all_said());
	cr_assert_eq(fx.plan.direct_dns.n, n);
	for (size_t i = 0; i < n; i++) {
		cr_expect_eq(list->items[i].proto, IPPROTO_UDP);
		cr_expect_eq(list->items[i].uid_lo, uid);
		cr_expect_eq(list->items[i].uid_hi, uid);
		cr_expect_str_eq(list->items[i].ports_text, "53");
	}
}

Test(resolvers, are_exempt_where_all_is_captured_and_their_user_is_known)
{
	names("nameserver 127.0.0.53\n", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_all();
	expect_exempt(1, 102);
	expect_said(SEVERITY_NOTICE, ALL,
		    "/etc/resolv.conf names 127.0.0.53, which is served on this host by user 102: "
		    "its own queries would run in a circle and are not redirected (udp:53:102)");
	expect_silent(SEVERITY_WARNING, CIRCLE);
}

Test(resolvers, are_found_at_any_address_of_this_host_and_in_both_families)
{
	names("", "nameserver 192.0.2.10\nnameserver ::1\n");
	serves("::", 104);
	serves("0.0.0.0", 104);
	build_all();
	expect_exempt(1, 104);
}

Test(resolvers, of_one_address_go_before_those_of_all)
{
	names("", "nameserver 127.0.0.1\n");
	serves("0.0.0.0", 104);
	serves("127.0.0.1", 105);
	serves("0.0.0.0", 106);
	build_all();
	expect_exempt(1, 105);
}

Test(resolvers, of_root_are_warned_of_with_the_cure)
{
	names("", "nameserver 127.0.0.1\n");
	serves("127.0.0.1", 0);
	build_all();
	expect_exempt(0, 0);
	expect_said(SEVERITY_WARNING, ALL,
		    "/etc/resolv.conf names 127.0.0.1, which is served on this host by user 0: its "
		    "own queries would be redirected too and run in a circle; exempt them with "
		    "redirect.outbound.excludePortsForUIDs (udp:53:<UID of its queries>), or use "
		    "redirect.dns.enabled without captureAll");
}

Test(resolvers, that_do_not_serve_yet_are_warned_of)
{
	names("", "nameserver 127.0.0.53\n");
	build_all();
	expect_exempt(0, 0);
	expect_said(SEVERITY_WARNING, ALL, "127.0.0.53, which is this host, where nobody serves");
}

Test(resolvers, of_docker_are_left_alone)
{
	names("", "nameserver 127.0.0.11\n");
	fx.facts.family[FAMILY_V4].docker_output = true;
	build_all();
	expect_silent(SEVERITY_WARNING, CIRCLE);
}

Test(resolvers, that_the_user_has_exempted_are_left_alone)
{
	names("", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_run("redirect: {dns: {captureAll: true},"
		  " outbound: {excludePortsForUIDs: ['udp:50-60:100-110']}}\n");
	cr_expect_eq(fx.plan.exclude_uids.n, 1);
	cr_expect_eq(fx.plan.direct_dns.n, 1);
	cr_expect_str_eq(fx.plan.direct_dns.items[0].ports_text, "53");
	expect_silent(SEVERITY_NOTICE, CIRCLE);
}

Test(resolvers, of_root_are_believed_to_ask_as_whoever_is_exempt)
{
	names("", "nameserver 127.0.0.1\n");
	serves("127.0.0.1", 0);
	build_run("redirect: {dns: {captureAll: true},"
		  " outbound: {excludePortsForUIDs: ['udp:53:110']}}\n");
	expect_silent(SEVERITY_WARNING, CIRCLE);
}

Test(resolvers, are_exempt_beside_exemptions_of_others)
{
	names("", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_run("redirect: {dns: {captureAll: true}, outbound: {excludePortsForUIDs:"
		  " ['udp:53:103', 'udp:54-99:102', 'tcp:53:102']}}\n");
	cr_expect_eq(fx.plan.exclude_uids.n, 4, "%s", all_said());
	cr_expect_eq(fx.plan.direct_dns.n, 2);
}

Test(resolvers, that_are_asked_alone_run_in_no_circle)
{
	names("nameserver 127.0.0.53\n", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_listed();
	expect_exempt(0, 0);
	names("nameserver 127.0.0.1\nnameserver ::1\n", "nameserver 127.0.0.1\nnameserver ::1\n");
	serves("127.0.0.1", 0);
	serves("::1", 0);
	build_listed();
	expect_silent(SEVERITY_WARNING, CIRCLE);
	expect_silent(SEVERITY_NOTICE, CIRCLE);
}

Test(resolvers, beside_other_servers_are_exempt_as_they_may_ask_those)
{
	static const char both[] = "nameserver 127.0.0.1\nnameserver 192.0.2.53\n";

	names(both, both);
	serves("127.0.0.1", 104);
	build_listed();
	expect_exempt(1, 104);
	expect_said(SEVERITY_NOTICE, LISTED, "names 127.0.0.1, which is served");
	expect_silent(SEVERITY_WARNING, "gets no names of the mesh");
}

Test(resolvers, may_ask_one_another)
{
	static const char both[] = "nameserver 127.0.0.1\nnameserver 127.0.0.53\n";

	names(both, both);
	serves("127.0.0.1", 0);
	serves("127.0.0.53", 102);
	build_listed();
	cr_expect_eq(fx.plan.exclude_uids.n, 1, "%s", all_said());
	expect_said(SEVERITY_WARNING, LISTED, "or redirect the queries to that server alone");
}

Test(resolvers, are_judged_by_the_servers_that_the_meshs_resolver_asks)
{
	names("nameserver 192.0.2.53\n", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_run("redirect: {dns: {enabled: true, resolvConfigPath: /run/servers}}\n");
	expect_exempt(1, 102);
	expect_said(SEVERITY_WARNING, LISTED,
		    "/run/servers does not name 127.0.0.53, which /etc/resolv.conf does: who asks "
		    "it gets no names of the mesh");
}

Test(resolvers, are_no_matter_where_the_meshs_resolver_asks_others)
{
	names("nameserver 127.0.0.53\n", "nameserver 192.0.2.53\n");
	serves("127.0.0.53", 102);
	build_all();
	expect_exempt(0, 0);
	names("", "nameserver 127.0.0.53\n");
	fx.facts.corefile = file_with(".:{{ .CoreDNSPort }} {\n\tforward . 192.0.2.53\n}\n");
	build_run("redirect: {dns: {captureAll: true}}\ncoreDNS: {corefile: /c}\n");
	expect_exempt(0, 0);
}

Test(resolvers, that_are_the_proxy_itself_are_exempt_already)
{
	names("", "nameserver 127.0.0.1\n");
	serves("127.0.0.1", 5678);
	build_all();
	expect_exempt(0, 0);
}

Test(resolvers, are_for_the_user_to_exempt_in_an_installation)
{
	names("", "nameserver 127.0.0.53\n");
	serves("127.0.0.53", 102);
	build_install("redirect: {dns: {captureAll: true}}\n");
	expect_exempt(0, 0);
	expect_said(SEVERITY_WARNING, ALL, "excludePortsForUIDs (udp:53:102)");
	names("", "nameserver 127.0.0.53\n");
	build_install("redirect: {dns: {captureAll: true},"
		      " outbound: {excludePortsForUIDs: ['udp:53:102']}}\n");
	cr_expect_eq(fx.plan.exclude_uids.n, 1);
	cr_expect_eq(fx.plan.direct_dns.n, 0, "the rules are kumactl's");
}

Test(resolvers, are_not_judged_where_dns_is_not_redirected)
{
	names("", "nameserver 127.0.0.53\noptions use-vc\n");
	serves("127.0.0.53", 0);
	build_run("");
	expect_silent(SEVERITY_WARNING, CIRCLE);
	expect_silent(SEVERITY_WARNING, "use-vc");
}

Test(resolvers, are_asked_over_tcp_past_the_mesh_with_use_vc)
{
	static const char file[] = "nameserver 192.0.2.53\noptions edns0 use-vc\n";
	const struct diag *diag;

	names(file, file);
	build_listed();
	diag = find_said(SEVERITY_WARNING, "redirect.dns.enabled",
			 "the option use-vc has programs ask over TCP, which is not redirected");
	cr_assert_not_null(diag, "%s", all_said());
	cr_expect_str_eq(diag->origin.name, "/etc/resolv.conf");
	cr_expect_eq(diag->origin.line, 2);
	cr_expect_eq(diag->origin.column, 15);
}
