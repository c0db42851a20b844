/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define FILE_SETTING "kumaDP.dataplaneFile"

TestSuite(ports, .init = fixture_init, .fini = fixture_done);

static void with_inbound(const char *networking)
{
	fx.facts.dataplane = file_with(networking);
}

Test(ports, do_not_collide_by_default)
{
	build_run("redirect: {dns: {enabled: true}}\n");
	expect_accepted();
}

Test(ports, of_inbounds_must_not_be_redirect_ports)
{
	with_inbound(DATAPLANE("  inbound: [{port: 15006}]\n"));
	build_run("");
	expect_refused(FILE_SETTING, "port 15006 is the inbound redirect's already "
				     "(redirect.inbound.port), and cannot be an inbound of the "
				     "Dataplane too");
	cr_expect(diag_has_error(&fx.diags, false));
}

Test(ports, of_inbounds_must_not_be_the_outbound_redirects)
{
	with_inbound(DATAPLANE("  inbound: [{port: 80}, {port: 15001}]\n"));
	build_run("");
	expect_refused(FILE_SETTING, "port 15001 is the outbound redirect's");
}

Test(ports, of_inbounds_must_not_be_the_dns_ports)
{
	with_inbound(DATAPLANE("  inbound: [{port: 15053}, {port: 15054}]\n"));
	build_run("redirect: {dns: {enabled: true}}\n");
	cr_expect_eq(fx.diags.n_errors, 2);
	expect_said(SEVERITY_ERROR, FILE_SETTING, "port 15053 is the DNS redirect's");
	expect_said(SEVERITY_ERROR, FILE_SETTING, "port 15054 is that of Envoy's DNS");
}

Test(ports, of_dns_are_free_where_there_is_none)
{
	with_inbound(DATAPLANE("  inbound: [{port: 15053}, {port: 15054}]\n"));
	build_run("");
	expect_accepted();
}

Test(ports, of_inbounds_must_not_be_admin_or_readiness)
{
	with_inbound(DATAPLANE("  inbound: [{port: 9901}, {port: 9902}]\n"));
	build_run("");
	cr_expect_eq(fx.diags.n_errors, 2);
	expect_said(SEVERITY_ERROR, FILE_SETTING, "port 9901 is Envoy's admin port");
	expect_said(SEVERITY_ERROR, FILE_SETTING, "port 9902 is kuma-dp's readiness port");
}

Test(ports, of_inbounds_must_not_be_the_admin_port_that_was_chosen)
{
	with_inbound(DATAPLANE("  inbound: [{port: 9999}, {port: 9901}]\n  admin: {port: 9999}\n"));
	build_run("");
	expect_refused(FILE_SETTING, "port 9999 is Envoy's admin port (networking.admin.port)");
}

Test(ports, of_the_redirect_must_not_be_the_proxys_own)
{
	build_run("redirect: {inbound: {port: 9901}}\n");
	expect_refused("redirect.inbound.port",
		       "port 9901 is Envoy's admin port already, and cannot "
		       "be the inbound redirect's too");
	cr_expect_eq(present(find_said(SEVERITY_ERROR, "redirect.inbound.port", ""))->origin.line,
		     2);
}

Test(ports, of_dns_must_not_be_envoys_or_the_metrics)
{
	build_run("redirect: {dns: {enabled: true, port: 15054}}\n");
	expect_refused("redirect.dns.port", "port 15054 is that of Envoy's DNS");
}

Test(ports, of_the_metrics_are_taken_where_kuma_dp_runs_coredns)
{
	build_run("redirect: {outbound: {port: 19153}, dns: {enabled: true}}\n");
	expect_refused("redirect.outbound.port", "port 19153 is that of coredns' metrics");
}

Test(ports, of_inbounds_may_be_shared_by_two_addresses)
{
	with_inbound(DATAPLANE("  inbound: [{port: 80, address: '2001:db8::10'}, {port: 80}]\n"));
	build_run("");
	expect_accepted();
}

Test(ports, of_a_direction_that_is_off_are_free)
{
	with_inbound(DATAPLANE("  inbound: [{port: 15001}]\n"));
	build_run("redirect: {outbound: {enabled: false}}\n");
	expect_accepted();
}

Test(ports, are_as_free_for_install_as_in_the_reference)
{
	build_install("redirect: {inbound: {port: 9901}}\n");
	expect_accepted();
}

Test(ports, that_connections_of_this_host_may_take_are_named_with_the_cure)
{
	fx.facts.ephemeral_lo = 32768;
	fx.facts.ephemeral_hi = 60999;
	fx.facts.reserved_ports = "";
	build_run("");
	expect_accepted();
	fx.diags.n = 0;
	fx.facts.ephemeral_lo = 9902;
	fx.facts.ephemeral_hi = 15005;
	build_run("");
	expect_said(SEVERITY_WARNING, NULL,
		    "take their ports from 9902 to 15005 (net.ipv4.ip_local_port_range), and so "
		    "may take one of the proxy's before it starts; \"sysctl "
		    "net.ipv4.ip_local_reserved_ports=15001,9902\" keeps them free");
	fx.diags.n = 0;
	fx.facts.reserved_ports = "80,9900-9999";
	build_run("");
	expect_said(SEVERITY_WARNING, NULL, "ip_local_reserved_ports=80,9900-9999,15001\"");
	fx.diags.n = 0;
	fx.facts.reserved_ports = "9902,15001";
	build_run("");
	expect_accepted();
}

Test(ports, cannot_be_redirected_without_the_right_to_change_rules)
{
	fx.facts.missing_capability = "CAP_NET_RAW";
	build_run("");
	expect_said(SEVERITY_ERROR, NULL, "CAP_NET_RAW is missing: rules can be neither read nor");
	cr_expect(diag_has_error(&fx.diags, true));
}
