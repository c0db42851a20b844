/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define DNS      "redirect.dns.enabled"
#define ZONES    "redirect.dns.skipConntrackZoneSplit"
#define WITH_DNS "redirect: {dns: {enabled: true}}\n"
#define CAPTURE  "redirect: {dns: {captureAll: true}}\n"
#define V4       fx.plan.family[FAMILY_V4]
#define V6       fx.plan.family[FAMILY_V6]

TestSuite(families, .init = fixture_init, .fini = fixture_done);
TestSuite(dns, .init = fixture_init, .fini = fixture_done);

Test(families, are_both_redirected)
{
	build_run("");
	expect_accepted();
	cr_expect(V4.enabled);
	cr_expect(V6.enabled);
	cr_expect_str_eq(fx.plan.loopback, "lo");
	expect_silent(SEVERITY_NOTICE, "IPv6");
}

Test(families, leave_ipv6_out_where_it_was_not_wanted)
{
	build_run("ipFamilyMode: ipv4\n");
	expect_accepted();
	cr_expect_not(V6.enabled);
	expect_silent(SEVERITY_NOTICE, "IPv6 is not redirected");
}

Test(families, leave_ipv6_out_on_a_host_without)
{
	fx.facts.ipv6 = false;
	build_run("");
	expect_accepted();
	cr_expect_not(V6.enabled);
	expect_said(SEVERITY_NOTICE, "ipFamilyMode", "no IPv6 address besides ::1: IPv6 is not");
}

Test(families, leave_ipv6_out_without_its_loopback_address)
{
	fx.facts.ipv6_loopback = false;
	build_run("");
	expect_accepted();
	cr_expect_not(V6.enabled);
	cr_expect(fx.plan.children.ipv4_only);
	expect_said(SEVERITY_NOTICE, "ipFamilyMode", "::1 cannot be used");
}

Test(families, leave_ipv6_out_without_tables)
{
	fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_redirect =
		"no legacy tables (ip6_tables)";
	build_run("");
	expect_accepted();
	cr_expect_not(V6.enabled);
	expect_said(SEVERITY_NOTICE, "ipFamilyMode", "ip6_tables");
}

static const struct facts_abilities nothing = {
	.no_redirect = "no legacy tables (ip_tables)",
	.no_zones = "no raw table",
	.no_drop_invalid = "no mangle table",
};

Test(families, need_legacy_tables)
{
	fx.facts.family[FAMILY_V4].ability[BACKEND_IPTABLES] = nothing;
	build_run("");
	expect_refused("backend", "no legacy tables (ip_tables), and no nf_tables");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(families, need_no_tables_to_be_printed)
{
	fx.facts.family[FAMILY_V4].ability[BACKEND_IPTABLES] = nothing;
	build_install("dryRun: true\ndropInvalidPackets: true\n" WITH_DNS);
	expect_accepted();
	cr_expect(V4.enabled);
	cr_expect_not(V4.dns_zones);
	cr_expect_not(V4.drop_invalid);
}

Test(families, need_no_tables_of_ipv6_to_be_printed)
{
	fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_redirect =
		"no legacy tables (ip6_tables)";
	build_install("dryRun: true\n");
	expect_accepted();
	cr_expect(V6.enabled);
}

Test(families, need_a_loopback_interface)
{
	fx.facts.loopback = NULL;
	build_run("");
	expect_refused(NULL, "no loopback interface found");
}

Test(families, drop_invalid_packets_when_asked)
{
	build_run("dropInvalidPackets: true\n");
	expect_accepted();
	cr_expect(V4.drop_invalid);
	cr_expect(V6.drop_invalid);
}

Test(families, cannot_drop_invalid_packets_without_mangle)
{
	fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_drop_invalid =
		"no mangle table for IPv6";
	build_run("dropInvalidPackets: true\n");
	expect_refused("dropInvalidPackets", "no mangle table for IPv6");
}

Test(dns, is_not_redirected_by_default)
{
	fx.facts.resolv_conf = (struct facts_file){ 0 };
	build_run("");
	expect_accepted();
	cr_expect_not(V4.dns);
	cr_expect_not(V6.dns);
}

Test(dns, is_redirected_for_the_servers_of_each_family)
{
	build_run(WITH_DNS);
	expect_accepted();
	cr_expect(V4.dns);
	cr_expect(V4.dns_zones);
	cr_assert_eq(V4.dns_servers.n, 1);
	cr_assert_eq(V6.dns_servers.n, 1);
	cr_expect_eq(fx.plan.dns_port, 15053);
	cr_expect_not(fx.plan.dns_capture_all);
}

Test(dns, is_off_for_a_family_without_servers)
{
	fx.facts.resolv_conf = file_with("nameserver 192.0.2.53\n");
	build_run(WITH_DNS);
	expect_accepted();
	cr_expect(V4.dns);
	cr_expect_not(V6.dns);
	cr_expect_not(V6.dns_zones);
	expect_said(SEVERITY_NOTICE, DNS, "no IPv6 DNS servers in /etc/resolv.conf");
	expect_silent(SEVERITY_WARNING, "at all");
}

Test(dns, warns_where_no_server_is_found)
{
	fx.facts.resolv_conf = file_with("search example.com\n");
	build_run(WITH_DNS);
	expect_accepted();
	expect_said(SEVERITY_WARNING, DNS, "no DNS is redirected at all");
}

Test(dns, needs_resolv_conf)
{
	fx.facts.resolv_conf = (struct facts_file){ .problem = "/x does not exist" };
	build_run(WITH_DNS);
	expect_refused("redirect.dns.resolvConfigPath", "/x does not exist");
}

Test(dns, needs_resolv_conf_to_be_readable)
{
	fx.facts.resolv_conf =
		(struct facts_file){ .exists = true, .problem = "/r cannot be read" };
	build_install("redirect: {dns: {enabled: true, resolvConfigPath: /r}}\n");
	expect_refused("redirect.dns.resolvConfigPath", "/r cannot be read");
}

Test(dns, is_on_and_for_every_server_with_capture_all)
{
	fx.facts.resolv_conf = (struct facts_file){ 0 };
	build_install(CAPTURE);
	expect_accepted();
	cr_expect(fx.plan.dns_capture_all);
	cr_expect(V4.dns);
	cr_expect(V6.dns);
	cr_expect_eq(V4.dns_servers.n, 0);
}

Test(dns, gets_no_zones_where_they_are_not_wanted)
{
	build_run("redirect: {dns: {enabled: true, skipConntrackZoneSplit: true}}\n");
	cr_expect(V4.dns);
	cr_expect_not(V4.dns_zones);
	expect_silent(SEVERITY_NOTICE, "zone");
}

Test(dns, gets_no_zones_without_the_raw_table)
{
	fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_zones = "no raw table";
	build_run(WITH_DNS);
	expect_accepted();
	cr_expect(V4.dns_zones);
	cr_expect_not(V6.dns_zones);
	expect_said(SEVERITY_NOTICE, ZONES, "DNS over IPv6 gets no conntrack zone");
}

Test(dns, gets_no_zones_beside_docker_when_all_is_captured)
{
	fx.facts.family[FAMILY_V4].docker_output = true;
	build_run(CAPTURE);
	cr_expect(V4.docker_output);
	cr_expect_not(V4.dns_zones);
	cr_expect(V6.dns_zones);
	expect_said(SEVERITY_NOTICE, ZONES, "DOCKER_OUTPUT");
}

Test(dns, gets_zones_beside_docker_otherwise)
{
	fx.facts.family[FAMILY_V4].docker_output = true;
	build_run(WITH_DNS);
	cr_expect(V4.docker_output);
	cr_expect(V4.dns_zones);
}
