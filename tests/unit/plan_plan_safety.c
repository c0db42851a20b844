/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

#define SSH "safety.protectSSH"

TestSuite(safety, .init = fixture_init, .fini = fixture_done);

static void expect_ports(size_t n, const uint16_t *want)
{
	cr_assert_eq(fx.plan.ssh_ports.n, n, "%zu ports", fx.plan.ssh_ports.n);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(fx.plan.ssh_ports.items[i], want[i]);
}

static void many_ports(void)
{
	fx.listeners[0] = (struct facts_socket){ .port = 2222, .sshd = true };
	fx.listeners[1] = (struct facts_socket){ .port = 80 };
	fx.listeners[2] = (struct facts_socket){ .port = 22, .sshd = true };
	fx.listeners[3] = (struct facts_socket){ .port = 22, .sshd = true };
	fx.facts.listeners.n = 4;
	fx.sessions[0] = 443;
	fx.sessions[1] = 22;
	fx.facts.ssh_session_ports.items = fx.sessions;
	fx.facts.ssh_session_ports.n = 2;
}

Test(safety, is_on_in_the_service)
{
	build_run("");
	expect_accepted();
	cr_expect(fx.plan.keep_connections);
	expect_ports(1, (const uint16_t[]){ 22 });
}

Test(safety, is_off_in_install)
{
	build_install("");
	cr_expect_not(fx.plan.keep_connections);
	expect_ports(0, NULL);
}

Test(safety, is_on_in_install_when_asked)
{
	build_install("safety: {keepConnections: true, protectSSH: true}\n");
	cr_expect(fx.plan.keep_connections);
	expect_ports(1, (const uint16_t[]){ 22 });
}

Test(safety, is_off_in_the_service_when_asked)
{
	build_run("safety: {keepConnections: false, protectSSH: false}\n");
	expect_accepted();
	cr_expect_not(fx.plan.keep_connections);
	expect_ports(0, NULL);
}

Test(safety, covers_listeners_and_live_sessions_once_in_order)
{
	many_ports();
	build_run("");
	expect_ports(3, (const uint16_t[]){ 22, 443, 2222 });
}

Test(safety, leaves_out_what_is_excluded_already)
{
	many_ports();
	build_run("redirect: {inbound: {excludePorts: [443, 22]}}\n");
	expect_ports(1, (const uint16_t[]){ 2222 });
}

Test(safety, does_not_count_on_exclusions_that_have_no_effect)
{
	build_run("redirect: {inbound: {includePorts: [22, 80], excludePorts: [22]}}\n");
	expect_ports(1, (const uint16_t[]){ 22 });
}

Test(safety, tells_that_nothing_was_found_to_protect)
{
	fx.facts.listeners.n = 0;
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, SSH, "no port of sshd is found");
	expect_ports(0, NULL);
}

Test(safety, has_nothing_to_protect_where_inbound_is_not_redirected)
{
	fx.facts.listeners.n = 0;
	build_run("redirect: {inbound: {enabled: false}}\n");
	expect_silent(SEVERITY_NOTICE, "sshd");
}

Test(safety, warns_where_sshd_serves_an_inbound_of_the_dataplane)
{
	fx.facts.dataplane = file_with(DATAPLANE("  inbound: [{port: 22}]\n"));
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, SSH, "port 22 is an inbound of the Dataplane, but sshd");
}
