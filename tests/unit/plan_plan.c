/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/plan_fixture.h"

TestSuite(plan, .init = fixture_init, .fini = fixture_done);

Test(plan, of_a_healthy_host_tells_the_port_of_sshd_and_no_more)
{
	build_run("redirect: {dns: {enabled: true}}\n");
	expect_accepted();
	cr_expect_eq(fx.diags.n, 2, "%s", all_said());
	expect_said(SEVERITY_NOTICE, "safety.protectSSH", "port 22 is left out of the mesh: sshd");
	expect_said(SEVERITY_WARNING, "kumaDP.dataplaneFile",
		    "(8080) answer in plaintext at 2001:db8::10");
}

Test(plan, of_an_install_says_nothing)
{
	build_install("redirect: {dns: {enabled: true}}\n");
	cr_expect_eq(fx.diags.n, 0, "%s", all_said());
}

Test(plan, has_the_plain_settings)
{
	build_install("verbose: true\ndryRun: true\nlog: {enabled: true, level: 4}\n"
		      "comments: {disabled: true}\n");
	cr_expect(fx.plan.verbose);
	cr_expect(fx.plan.dry_run);
	cr_expect(fx.plan.log_enabled);
	cr_expect_eq(fx.plan.log_level, 4);
	cr_expect_not(fx.plan.comments);
	cr_expect_not(fx.plan.store_firewalld);
}

Test(plan, has_the_durations_of_supervision)
{
	build_run("readiness: {interval: 50ms}\n");
	cr_expect_eq(fx.plan.readiness_interval_nsec, INT64_C(50000000));
	cr_expect_eq(fx.plan.readiness_timeout_nsec, INT64_C(180000000000));
	cr_expect_eq(fx.plan.hold_nsec, INT64_C(30000000000));
	cr_expect_eq(fx.plan.restart_delay_nsec, INT64_C(250000000));
	cr_expect_eq(fx.plan.restart_max_delay_nsec, INT64_C(30000000000));
	cr_expect(fx.plan.comments);
}

Test(plan, is_not_given_without_memory)
{
	struct plan before;

	build_install("");
	before = fx.plan;
	fx.arena.failed = true;
	cr_expect_eq(plan_build(&fx.arena, &fx.loaded, &fx.facts, CHECK_RUN, &fx.plan, &fx.diags),
		     -ENOMEM);
	cr_expect_eq(memcmp(&before, &fx.plan, sizeof(before)), 0);
}
