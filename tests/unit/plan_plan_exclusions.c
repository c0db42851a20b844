/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define NETWORKS "redirect.vnet.networks"

TestSuite(exclusions, .init = fixture_init, .fini = fixture_done);

Test(exclusions, are_none_by_default)
{
	build_run("");
	expect_accepted();
	cr_expect_eq(fx.plan.exclude_uids.n, 0);
	cr_expect_eq(fx.plan.family[FAMILY_V4].exclude_inbound.n, 0);
	cr_expect_eq(fx.plan.family[FAMILY_V4].vnets.n, 0);
	cr_expect_str_eq(fx.plan.inbound.chain, "KUMA_MESH_INBOUND");
	cr_expect_str_eq(fx.plan.outbound.redirect_chain, "KUMA_MESH_OUTBOUND_REDIRECT");
	cr_expect_eq(fx.plan.inbound.port, 15006);
	cr_expect_eq(fx.plan.outbound.port, 15001);
	cr_expect(fx.plan.outbound.enabled);
}

Test(exclusions, come_in_the_order_of_the_configuration)
{
	build_run(
		"redirect:\n"
		"  inbound: {excludePorts: [22], excludePortsForIPs: ['10.0.0.1', '::2,10.0.0.3']}\n"
		"  outbound:\n"
		"    includePorts: [80]\n"
		"    insertRedirectInsteadOfAppend: true\n"
		"    excludePortsForUIDs: ['tcp:22:1', '2']\n"
		"    excludePortsForIPs: ['fd00::/8']\n");
	expect_accepted();
	cr_assert_eq(fx.plan.exclude_uids.n, 3);
	cr_expect_eq(fx.plan.exclude_uids.items[0].uid_lo, 1);
	cr_expect_eq(fx.plan.exclude_uids.items[2].proto, IPPROTO_UDP);
	cr_assert_eq(fx.plan.family[FAMILY_V4].exclude_inbound.n, 2);
	cr_expect_str_eq(fx.plan.family[FAMILY_V4].exclude_inbound.items[1].text, "10.0.0.3");
	cr_expect_eq(fx.plan.family[FAMILY_V6].exclude_inbound.n, 1);
	cr_expect_eq(fx.plan.family[FAMILY_V6].exclude_outbound.n, 1);
	cr_expect_eq(fx.plan.family[FAMILY_V4].exclude_outbound.n, 0);
	cr_expect_eq(fx.plan.inbound.exclude_ports.items[0], 22);
	cr_expect_eq(fx.plan.outbound.include_ports.items[0], 80);
	cr_expect(fx.plan.outbound.insert);
	cr_expect_not(fx.plan.inbound.insert);
}

Test(exclusions, name_the_setting_and_the_line_of_a_bad_uid)
{
	build_run("redirect:\n  outbound:\n    excludePortsForUIDs: ['root']\n");
	expect_refused("redirect.outbound.excludePortsForUIDs", "'root' is not a UID");
	cr_expect_str_eq(
		present(find_said(SEVERITY_ERROR, "redirect.outbound.excludePortsForUIDs", ""))
			->origin.name,
		"test.yaml");
}

Test(exclusions, report_every_bad_entry)
{
	build_run("redirect:\n  outbound: {excludePortsForUIDs: ['a', 'b'],"
		  " excludePortsForIPs: ['c']}\n  inbound: {excludePortsForIPs: ['d']}\n");
	cr_expect_eq(fx.diags.n_errors, 4);
	expect_said(SEVERITY_ERROR, "redirect.outbound.excludePortsForIPs", "'c'");
	expect_said(SEVERITY_ERROR, "redirect.inbound.excludePortsForIPs", "'d'");
}

Test(exclusions, sort_virtual_networks_by_interface_and_family)
{
	build_run("redirect: {vnet: {networks: ['docker0:172.17.0.0/16', 'br+:172.18.0.0/16',"
		  " 'iface:::1/64', 'a:10.0.0.0/8']}}\n");
	expect_accepted();
	cr_assert_eq(fx.plan.family[FAMILY_V4].vnets.n, 3);
	cr_expect_str_eq(fx.plan.family[FAMILY_V4].vnets.items[0].iface, "a");
	cr_expect_str_eq(fx.plan.family[FAMILY_V4].vnets.items[1].iface, "br+");
	cr_expect_str_eq(fx.plan.family[FAMILY_V4].vnets.items[2].iface, "docker0");
	cr_assert_eq(fx.plan.family[FAMILY_V6].vnets.n, 1);
	cr_expect_str_eq(fx.plan.family[FAMILY_V6].vnets.items[0].net.text, "::1/64");
}

Test(exclusions, take_the_last_network_of_an_interface_and_say_so)
{
	build_run(
		"redirect: {vnet: {networks: ['b:10.0.0.0/8', 'a:10.1.0.0/16', 'b:10.2.0.0/16']}}\n");
	expect_accepted();
	cr_assert_eq(fx.plan.family[FAMILY_V4].vnets.n, 2);
	cr_expect_str_eq(fx.plan.family[FAMILY_V4].vnets.items[1].net.text, "10.2.0.0/16");
	expect_said(SEVERITY_NOTICE, NETWORKS, "interface 'b' has 10.0.0.0/8 and 10.2.0.0/16");
}

Test(exclusions, refuse_a_bad_network)
{
	build_run("redirect: {vnet: {networks: ['docker0']}}\n");
	expect_refused(NETWORKS, "'docker0': expected <interface>:<ip>/<length>");
}
