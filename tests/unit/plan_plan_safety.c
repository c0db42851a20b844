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

static void two_ports(void)
{
	fx.ssh_ports[1] = (struct facts_ssh_port){ .port = 2222,
						   .why = "a session of dropbear is open there" };
	fx.facts.ssh_ports.n = 2;
}

static void unknown_port(void)
{
	fx.ssh_ports[0] =
		(struct facts_ssh_port){ .port = 22, .unknown = true, .why = "of a reason" };
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

Test(safety, tells_each_port_that_it_leaves_out_with_the_reason)
{
	two_ports();
	build_run("");
	expect_accepted();
	expect_ports(2, (const uint16_t[]){ 22, 2222 });
	expect_said(SEVERITY_NOTICE, SSH, "port 22 is left out of the mesh: sshd listens there");
	expect_said(SEVERITY_NOTICE, SSH,
		    "port 2222 is left out of the mesh: a session of dropbear is open there");
}

Test(safety, leaves_out_what_is_excluded_already)
{
	two_ports();
	build_run("redirect: {inbound: {excludePorts: [443, 22]}}\n");
	expect_ports(1, (const uint16_t[]){ 2222 });
	expect_silent(SEVERITY_NOTICE, "port 22 ");
}

Test(safety, does_not_count_on_exclusions_that_have_no_effect)
{
	build_run("redirect: {inbound: {includePorts: [22, 80], excludePorts: [22]}}\n");
	expect_ports(1, (const uint16_t[]){ 22 });
}

Test(safety, warns_of_a_port_of_which_nothing_tells_what_serves_it)
{
	unknown_port();
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, SSH,
		    "port 22 is left out of the mesh, because of a reason; ");
	expect_ports(1, (const uint16_t[]){ 22 });
}

Test(safety, believes_whoever_has_excluded_such_a_port)
{
	unknown_port();
	build_run("redirect: {inbound: {excludePorts: [22]}}\n");
	expect_silent(SEVERITY_WARNING, "port 22");
	expect_ports(0, NULL);
}

Test(safety, warns_where_nobody_can_tell_the_ports_of_a_server)
{
	fx.facts.ssh_unseen = true;
	fx.facts.ssh_ports.n = 0;
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, SSH, "an SSH server runs, but on which ports cannot be seen");
	expect_silent(SEVERITY_NOTICE, "no port");
}

Test(safety, tells_that_nothing_was_found_to_protect)
{
	fx.facts.ssh_ports.n = 0;
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_NOTICE, SSH, "no port of an SSH server is found");
	expect_ports(0, NULL);
}

Test(safety, has_nothing_to_protect_where_inbound_is_not_redirected)
{
	build_run("redirect: {inbound: {enabled: false}}\n");
	expect_silent(SEVERITY_NOTICE, "SSH");
	expect_silent(SEVERITY_NOTICE, "sshd");
}

Test(safety, warns_where_sshd_serves_an_inbound_of_the_dataplane)
{
	fx.facts.dataplane = file_with(DATAPLANE("  inbound: [{port: 22}]\n"));
	build_run("");
	expect_accepted();
	expect_said(SEVERITY_WARNING, SSH,
		    "port 22 is an inbound of the Dataplane, but it is left out of the mesh: sshd");
}
