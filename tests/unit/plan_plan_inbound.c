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
