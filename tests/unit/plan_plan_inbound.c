/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define INBOUND_SETTING(name) "redirect.inbound." name
#define TWO_INBOUNDS          INBOUND "  - port: 8443\n"

TestSuite(inbound, .init = fixture_init, .fini = fixture_done);

/* Two declared ports, and redirect.inbound as given. */
static void build_inbound(const char *redirect)
{
	fx.facts.dataplane = file_with(DATAPLANE(TWO_INBOUNDS));
	build_run(redirect);
	expect_accepted();
}

Test(inbound, is_redirected_as_a_rule)
{
	build_inbound("redirect: {inbound: {excludePorts: [9000]}}\n");
	expect_silent(SEVERITY_WARNING, "out of the mesh");
	expect_silent(SEVERITY_WARNING, "past the mesh");
}

Test(inbound, is_left_out_by_an_exclusion)
{
	build_inbound("redirect: {inbound: {excludePorts: [8443, 9000]}}\n");
	expect_said(SEVERITY_WARNING, INBOUND_SETTING("excludePorts"),
		    "leaves inbounds of the Dataplane (8443) out of the mesh: clients that use "
		    "mTLS get no answer there");
}

Test(inbound, is_left_out_by_a_list_that_lacks_it)
{
	build_inbound("redirect: {inbound: {includePorts: [8080], excludePorts: [8080]}}\n");
	expect_said(SEVERITY_WARNING, INBOUND_SETTING("includePorts"),
		    "leaves inbounds of the Dataplane (8443) out of the mesh");
}

Test(inbound, is_left_out_where_nothing_is_redirected)
{
	build_inbound("redirect: {inbound: {enabled: false}}\n");
	expect_said(SEVERITY_WARNING, INBOUND_SETTING("enabled"),
		    "leaves inbounds of the Dataplane (8080, 8443) out of the mesh");
	expect_silent(SEVERITY_WARNING, "past the mesh");
	expect_silent(SEVERITY_WARNING, "plaintext");
}

Test(inbound, is_reached_past_the_mesh_by_addresses_that_are_excluded)
{
	build_inbound("redirect: {inbound: {excludePortsForIPs: ['198.51.100.0/24,203.0.113.7',"
		      " '2001:db8:9::/48'], excludePorts: [8443]}}\n");
	expect_said(SEVERITY_WARNING, INBOUND_SETTING("excludePortsForIPs"),
		    "lets 198.51.100.0/24, 203.0.113.7 reach inbounds of the Dataplane (8080) past "
		    "the mesh");
	expect_silent(SEVERITY_WARNING, "2001:db8:9");
}

Test(inbound, is_not_warned_of_twice_where_sshd_serves_it)
{
	fx.facts.dataplane = file_with(DATAPLANE("  inbound: [{port: 22}]\n"));
	build_run("");
	expect_said(SEVERITY_WARNING, "safety.protectSSH", "left out of the mesh");
	expect_silent(SEVERITY_WARNING, "leaves inbounds");
	expect_silent(SEVERITY_WARNING, "plaintext");
}

Test(inbound, is_none_where_the_family_of_its_address_is_not_redirected)
{
	fx.facts.dataplane = file_with("type: Dataplane\nmesh: m\nname: web\n"
				       "networking: {address: '2001:db8::10', inbound: [{port: "
				       "8080}]}\n");
	build_run("ipFamilyMode: ipv4\n");
	expect_refused("kumaDP.dataplaneFile", "networking.address 2001:db8::10 is IPv6, which is "
					       "not redirected");
}

static const char plaintext[] = "answer in plaintext at ";

/* The addresses at which the declared ports are said to answer in plaintext. */
static const char *exposed(void)
{
	const struct diag *diag = find_said(SEVERITY_WARNING, "kumaDP.dataplaneFile", plaintext);
	const char *at = diag ? strstr(diag->text, plaintext) + strlen(plaintext) : "";

	return arena_strndup(&fx.arena, at, strcspn(at, ":"));
}

static void listen_at(size_t n, const char *addr, uint16_t port)
{
	fx.listeners[n] = (struct facts_socket){ .addr = address(addr), .port = port };
	fx.facts.listeners.n = n + 1;
}

static void add_address(const char *addr)
{
	static struct ip_addr more[16];

	memcpy(more, fx.facts.addresses.items, fx.facts.addresses.n * sizeof(*more));
	more[fx.facts.addresses.n++] = address(addr);
	fx.facts.addresses.items = more;
}

Test(inbound, answers_in_plaintext_at_other_addresses_in_both_families)
{
	add_address("198.51.100.22");
	add_address("fe80::1");
	add_address("169.254.7.7");
	build_inbound("");
	expect_said(
		SEVERITY_WARNING, "kumaDP.dataplaneFile",
		"inbounds of the Dataplane (8080, 8443) answer in plaintext at 2001:db8::10, "
		"198.51.100.22, 169.254.7.7: the mesh's mTLS covers the declared address alone; "
		"safety.strictInbound: true closes them there");
	cr_expect_str_eq(present(find_said(SEVERITY_WARNING, "kumaDP.dataplaneFile", plaintext))
				 ->origin.name,
			 "/t/dp.yaml");
	cr_expect_not(fx.plan.family[FAMILY_V4].strict);
}

Test(inbound, answers_past_the_proxy_in_a_family_that_is_not_redirected)
{
	build_inbound("ipFamilyMode: ipv4\n");
	expect_said(SEVERITY_WARNING, "kumaDP.dataplaneFile", "at 2001:db8::10: ");
}

Test(inbound, answers_in_plaintext_over_ipv4_where_its_address_is_ipv6)
{
	fx.facts.dataplane = file_with("type: Dataplane\nmesh: m\nname: web\nnetworking:\n"
				       "  address: 2001:db8::10\n" INBOUND);
	build_run("");
	cr_expect_str_eq(exposed(), "192.0.2.10");
}

Test(inbound, is_covered_at_an_address_of_its_own)
{
	fx.facts.dataplane =
		file_with(DATAPLANE(INBOUND "  - {port: 8080, address: '2001:db8::10'}\n"));
	build_run("");
	expect_silent(SEVERITY_WARNING, plaintext);
}

Test(inbound, answers_only_where_somebody_listens)
{
	listen_at(1, "192.0.2.10", 8080);
	listen_at(2, "127.0.0.1", 8443);
	build_inbound("");
	expect_silent(SEVERITY_WARNING, plaintext);
}

Test(inbound, answers_over_ipv4_too_where_the_application_listens_at_all_ipv6_addresses)
{
	add_address("198.51.100.22");
	listen_at(1, "::", 8080);
	listen_at(2, "127.0.0.1", 8443);
	build_inbound("");
	expect_said(SEVERITY_WARNING, "kumaDP.dataplaneFile", "at 2001:db8::10, 198.51.100.22: ");
}

Test(inbound, answers_over_ipv4_alone_where_the_application_listens_there_alone)
{
	add_address("198.51.100.22");
	listen_at(1, "0.0.0.0", 8080);
	listen_at(2, "127.0.0.1", 8443);
	build_inbound("");
	cr_expect_str_eq(exposed(), "198.51.100.22");
}

Test(inbound, is_no_matter_of_containers_of_this_host)
{
	fx.facts.inner_addresses = (struct ip_list){ &fx.addresses[3], 1 };
	build_inbound("");
	expect_silent(SEVERITY_WARNING, plaintext);
}

Test(inbound, answers_at_so_many_addresses_that_not_all_are_told)
{
	for (unsigned i = 0; i < 9; i++)
		add_address(arena_printf(&fx.arena, "198.51.100.%u", i));
	build_inbound("");
	expect_said(SEVERITY_WARNING, "kumaDP.dataplaneFile", "198.51.100.6 and 2 more: ");
}

Test(inbound, is_closed_where_that_is_asked_for)
{
	build_inbound(
		"safety: {strictInbound: true}\nredirect: {inbound: {excludePorts: [8443]}}\n");
	expect_silent(SEVERITY_WARNING, plaintext);
	cr_expect(fx.plan.family[FAMILY_V4].strict);
	cr_expect(fx.plan.family[FAMILY_V6].strict);
	cr_assert_eq(fx.plan.strict_ports.n, 1);
	cr_expect_eq(fx.plan.strict_ports.items[0], 8080);
	cr_assert_eq(fx.plan.family[FAMILY_V4].inbounds.n, 1);
	cr_expect_eq(fx.plan.family[FAMILY_V4].inbounds.items[0].port, 8080);
	cr_expect_eq(fx.plan.family[FAMILY_V6].inbounds.n, 0);
}

Test(inbound, is_not_closed_where_sshd_serves_it)
{
	fx.facts.dataplane = file_with(DATAPLANE("  inbound: [{port: 22}]\n"));
	build_run("safety: {strictInbound: true}\n");
	expect_accepted();
	cr_expect_not(fx.plan.family[FAMILY_V4].strict);
}

Test(inbound, cannot_be_closed_at_addresses_that_are_not_known)
{
	fx.facts.dataplane = file_with("type: Dataplane\nmesh: m\nname: web\nnetworking:\n"
				       "  address: web.example\n" INBOUND);
	build_run("safety: {strictInbound: true}\n");
	expect_refused("safety.strictInbound", "needs an IP address");
}

Test(inbound, cannot_be_closed_for_ipv6_without_its_tables)
{
	fx.facts.family[FAMILY_V6].ability[BACKEND_IPTABLES].no_redirect = "no ip6_tables";
	build_run("safety: {strictInbound: true}\n");
	expect_refused("safety.strictInbound", "ports cannot be closed for IPv6: no ip6_tables");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(inbound, is_redirected_at_interfaces_without_an_address_in_the_service)
{
	fx.facts.family[FAMILY_V4].unnumbered = "wg0";
	build_run("");
	expect_accepted();
	cr_expect(fx.plan.family[FAMILY_V4].unnumbered);
	cr_expect_not(fx.plan.family[FAMILY_V6].unnumbered);
}

Test(inbound, whose_application_has_another_port_is_guarded_there)
{
	fx.facts.dataplane = file_with(DATAPLANE("  inbound: [{port: 80, servicePort: 8080}]\n"));
	build_run("safety: {strictInbound: true}\nredirect: {inbound: {excludePorts: [8080]}}\n");
	expect_accepted();
	cr_assert_eq(fx.plan.strict_ports.n, 1);
	cr_expect_eq(fx.plan.strict_ports.items[0], 8080);
	/* Not even the declared address is Envoy's at that port. */
	cr_expect_eq(fx.plan.family[FAMILY_V4].inbounds.n, 0);
}

Test(inbound, that_is_not_redirected_leaves_nothing_to_close)
{
	build_run("safety: {strictInbound: true}\nredirect: {inbound: {excludePorts: [8080]}}\n");
	expect_refused("safety.strictInbound", "has nothing to close: no inbound of the Dataplane");
}
