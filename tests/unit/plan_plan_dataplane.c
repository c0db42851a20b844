/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define FILE_SETTING "kumaDP.dataplaneFile"
#define SECTION(in, out) \
	"  transparentProxying: {redirectPortInbound: " #in ", redirectPortOutbound: " #out "}\n"

TestSuite(resource, .init = fixture_init, .fini = fixture_done);

static void build_resource(const char *text)
{
	fx.facts.dataplane = file_with(text);
	build_run("");
}

Test(resource, may_have_the_section_with_the_configured_ports)
{
	build_resource(DATAPLANE(INBOUND SECTION(15006, 15001)));
	expect_accepted();
	cr_expect_eq(fx.plan.children.dataplane.inbound_ports.items[0], 8080);
	cr_expect(fx.plan.children.resource == fx.facts.dataplane.text);
}

Test(resource, may_leave_the_section_out_from_2_11_on)
{
	fx.facts.kuma_dp.minor = 11;
	build_resource(DATAPLANE(INBOUND));
	expect_accepted();
}

Test(resource, needs_the_section_in_2_10)
{
	fx.facts.kuma_dp.minor = 10;
	build_resource(DATAPLANE(INBOUND));
	expect_refused(FILE_SETTING, "networking.transparentProxying is missing");
}

Test(resource, needs_the_ports_of_the_section_in_2_10)
{
	fx.facts.kuma_dp.minor = 10;
	build_resource(DATAPLANE(INBOUND "  transparentProxying: {redirectPortInbound: 15006}\n"));
	expect_refused(FILE_SETTING,
		       "redirectPortOutbound is missing: kuma-dp 2.10 needs it, and it "
		       "must be 15001 (redirect.outbound.port)");
}

Test(resource, may_leave_the_ports_of_the_section_out_later)
{
	build_resource(DATAPLANE(INBOUND "  transparentProxying: {reachableServices: [a]}\n"));
	expect_accepted();
}

Test(resource, must_not_name_other_redirect_ports)
{
	build_resource(DATAPLANE(INBOUND SECTION(15006, 15002)));
	expect_refused(FILE_SETTING,
		       "networking.transparentProxying.redirectPortOutbound is 15002, but "
		       "redirect.outbound.port is 15001: they must be equal");
	cr_expect_str_eq(present(find_said(SEVERITY_ERROR, FILE_SETTING, ""))->origin.name,
			 "/t/dp.yaml");
	cr_expect(diag_has_error(&fx.diags, false));
}

Test(resource, may_name_any_port_of_a_direction_that_is_off)
{
	fx.facts.dataplane = file_with(DATAPLANE(INBOUND SECTION(15006, 15002)));
	build_run("redirect: {outbound: {enabled: false}}\n");
	expect_accepted();
}

Test(resource, must_not_be_for_ipv4_alone_in_2_10_while_ipv6_is_redirected)
{
	fx.facts.kuma_dp.minor = 10;
	build_resource(DATAPLANE(INBOUND "  transparentProxying: {redirectPortInbound: 15006,"
					 " redirectPortOutbound: 15001, ipFamilyMode: IPv4}\n"));
	expect_refused(FILE_SETTING, "ipFamilyMode is IPv4, but IPv6 would be redirected");
}

Test(resource, must_have_no_outbounds)
{
	build_resource(DATAPLANE("  outbound: [{port: 1}]\n"));
	expect_refused(FILE_SETTING, "networking.outbound must be absent");
}

Test(resource, needs_an_address)
{
	build_resource("type: Dataplane\nmesh: m\nname: web\nnetworking: {inbound: []}\n");
	expect_refused(NULL, "networking.address: must be given");
}

Test(resource, needs_an_address_of_this_host)
{
	build_resource("type: Dataplane\nmesh: m\nname: web\nnetworking: {address: 192.0.2.99}\n");
	expect_refused(FILE_SETTING, "networking.address 192.0.2.99 is not an address of this host "
				     "(which has 192.0.2.10, 2001:db8::10)");
	cr_expect(diag_has_error(&fx.diags, true));
}

Test(resource, needs_an_address_that_can_be_reached)
{
	build_resource("type: Dataplane\nmesh: m\nname: web\nnetworking: {address: 0.0.0.0}\n");
	expect_refused(NULL, "\"0.0.0.0\" is not an address that others can reach");
}

/* One of several in a test: each has a fixture of its own. */
static void build_at(const char *address)
{
	fixture_done();
	fixture_init();
	build_resource(arena_printf(&fx.arena,
				    "type: Dataplane\nmesh: m\nname: web\n"
				    "networking: {address: '%s'}\n",
				    address));
}

Test(resource, needs_an_address_that_is_not_loopback)
{
	static const char *const loopback[] = { "127.0.0.1", "127.0.1.1", "::1",
						"::ffff:127.0.0.1" };

	for (size_t i = 0; i < ELEMENTS(loopback); i++) {
		build_at(loopback[i]);
		expect_refused(FILE_SETTING, "is not an address that others can reach");
	}
}

Test(resource, needs_an_address_without_ornament)
{
	static const char *const wrong[] = { "192.0.2.10/24", "[2001:db8::10]", "192.0.2.10:8080",
					     "fe80::1%eth0",  "2001:db8:::1",   "web example",
					     "http://web" };

	for (size_t i = 0; i < ELEMENTS(wrong); i++) {
		build_at(wrong[i]);
		expect_refused(NULL,
			       arena_printf(&fx.arena,
					    "networking.address: \"%s\" is neither an IP address "
					    "(without prefix length, port and brackets) nor a name",
					    wrong[i]));
	}
}

Test(resource, needs_an_address_that_is_not_mistyped)
{
	static const char *const wrong[] = { "192.0.2", "192.0.2.300" };

	for (size_t i = 0; i < ELEMENTS(wrong); i++) {
		build_at(wrong[i]);
		expect_refused(FILE_SETTING,
			       arena_printf(&fx.arena,
					    "networking.address '%s' is not an IP address",
					    wrong[i]));
	}
}

Test(resource, needs_such_addresses_for_its_inbounds_too)
{
	build_resource(DATAPLANE("  inbound: [{port: 1, address: 127.0.0.1}, {port: 2}]\n"));
	expect_refused(FILE_SETTING, "networking.inbound: address 127.0.0.1 is not an address that "
				     "others can reach");
}

Test(resource, may_have_a_name_for_its_address)
{
	build_resource("type: Dataplane\nmesh: m\nname: web\nnetworking: {address: web.example}\n");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, FILE_SETTING, "'web.example' is a name");
}

Test(resource, has_applications_at_addresses_of_this_host)
{
	build_resource(DATAPLANE("  inbound:\n"
				 "  - {port: 1, address: 192.0.2.10, serviceAddress: 127.0.0.1}\n"
				 "  - {port: 2, serviceAddress: '2001:db8::10'}\n"
				 "  - {port: 3, serviceAddress: 192.0.2.77}\n"));
	expect_accepted();
	expect_said(SEVERITY_WARNING, FILE_SETTING,
		    "serviceAddress 192.0.2.77 is not an address of this host (which has "
		    "192.0.2.10, 2001:db8::10): the proxy sends what arrives for the inbound to "
		    "another host or container");
	expect_silent(SEVERITY_WARNING, "serviceAddress 127.0.0.1");
	expect_silent(SEVERITY_WARNING, "serviceAddress 2001:db8::10");
	cr_expect_eq(present(find_said(SEVERITY_WARNING, FILE_SETTING, "192.0.2.77"))->origin.line,
		     9);
}

Test(resource, is_filled_in_first)
{
	fx.facts.dataplane = file_with("type: Dataplane\nmesh: m\nname: web\n"
				       "networking: {address: {{address}}}\n");
	build_for(CHECK_RUN, "kumaDP: {cpAddress: 'https://cp:1', tokenFile: /t, dataplaneFile: /d,"
			     " dataplaneVars: {address: 192.0.2.10}}\n");
	expect_accepted();
	cr_expect_eq(fx.plan.children.dataplane_vars.n, 1);
}

Test(resource, must_be_a_template_that_is_not_broken)
{
	build_resource("type: Dataplane\nname: {{name\n");
	expect_refused(NULL, "tag is not closed");
	cr_expect_eq(fx.diags.items[0].origin.line, 2);
}

Test(resource, must_be_a_dataplane)
{
	build_resource("type: Mesh\nname: a\nmesh: b\nnetworking: {address: 192.0.2.10}\n");
	expect_refused(NULL, "must be \"Dataplane\"");
}

Test(resource, must_be_readable)
{
	fx.facts.dataplane = (struct facts_file){ .problem = "/t/dp.yaml does not exist" };
	build_run("");
	expect_refused(FILE_SETTING, "/t/dp.yaml does not exist");
}

Test(resource, cannot_declare_an_application_that_runs_as_the_proxys_user)
{
	fx.listeners[1] =
		(struct facts_socket){ .addr = address("127.0.0.1"), .port = 8080, .uid = 5678 };
	fx.facts.listeners.n = 2;
	build_run("");
	expect_refused("kumaDPUser", "a process of user 'kuma-dp' (UID 5678) listens on port 8080");
	expect_said(SEVERITY_ERROR, "kumaDPUser", "the application would be exempt from the mesh");
}

Test(resource, may_declare_applications_of_other_users)
{
	fx.listeners[1] = (struct facts_socket){ .port = 8080, .uid = 33 };
	fx.listeners[2] = (struct facts_socket){ .port = 15006, .uid = 5678 };
	fx.facts.listeners.n = 3;
	build_run("");
	expect_accepted();
}
