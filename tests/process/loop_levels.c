/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Which level is applied when: every row of the situation's table, and probes that miss. */

#include "tests/process/loop.h"

#define HOLD (8 * SECOND) /* a hang takes longer to be taken for a crash */

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = 30LL * 1000000000 };
static const struct world_setup own_dns = { .core_dns = true,
					    .hold_nsec = (int64_t)HOLD * 1000,
					    .drain_nsec = 30LL * 1000000000 };

Test(loop, takes_leftovers_out_before_the_children_start)
{
	struct world w;

	world_init(&w, &own_dns);
	turn(&w);
	did(&w, "apply:none start:kuma-dp start:coredns");
	cr_expect(w.probing);
	cr_expect_eq(phase_of(&w), PHASE_STARTING);
	world_done(&w);
}

Test(loop, redirects_only_when_proxy_and_dns_serve)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	did(&w, "apply:none start:kuma-dp");
	probed(&w, false, false);
	probed(&w, true, false);
	probed(&w, false, true);
	did(&w, "");
	probed(&w, true, true);
	did(&w, "apply:full take-over");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect(w.d.carry.ready);
	cr_expect_eq(w.d.probe.envoy, ENVOY_PID);
	cr_expect_eq(w.d.child[CHILD_KUMA_DP].proc.state, PROC_READY);
	world_done(&w);
}

Test(loop, needs_no_dns_where_it_is_not_redirected)
{
	const struct world_setup setup = { .no_dns = true, .hold_nsec = usual.hold_nsec };
	struct world w;

	world_init(&w, &setup);
	turn(&w);
	/* The probe says true where it did not ask. */
	probed(&w, true, true);
	did(&w, "apply:none start:kuma-dp apply:full take-over");
	world_done(&w);
}

Test(loop, takes_one_missed_round_for_a_hiccup)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, false);
	probed(&w, true, true);
	probed(&w, true, false);
	probed(&w, true, true);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop, lets_dns_go_direct_while_it_is_down)
{
	struct world w;

	world_up(&w, &own_dns);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
	cr_expect_eq(w.d.child[CHILD_KUMA_DP].proc.state, PROC_READY);
	cr_expect_eq(w.d.child[CHILD_CORE_DNS].proc.state, PROC_FAILING);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(w.d.child[CHILD_CORE_DNS].proc.state, PROC_READY);
	world_done(&w);
}

Test(loop, holds_the_rules_and_releases_them_when_the_hold_is_over)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	cr_expect_eq(w.d.child[CHILD_KUMA_DP].proc.state, PROC_FAILING);
	for (uint64_t end = w.now + HOLD - 5 * MSEC; w.now < end - 200 * MSEC;)
		probed(&w, false, true);
	did(&w, "");
	advance(&w, 300 * MSEC);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop, holds_without_dns_where_dns_is_down_too)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, false);
	probed(&w, false, false);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, HOLD + SECOND);
	did(&w, "apply:drain");
	world_done(&w);
}

Test(loop, never_lets_anything_go_direct_under_an_infinite_hold)
{
	const struct world_setup setup = { .hold_nsec = DURATION_INFINITY };
	struct world w;

	world_up(&w, &setup);
	for (int i = 0; i < 90; i++)
		probed(&w, false, false);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	probed(&w, true, true);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop, releases_at_once_without_a_hold)
{
	const struct world_setup setup = { .hold_nsec = 0 };
	struct world w;

	world_up(&w, &setup);
	probed(&w, false, true);
	did(&w, "");
	probed(&w, false, true);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	world_done(&w);
}

/* The hold time begins anew with each loss, not with the first. */
Test(loop, starts_the_hold_anew_with_each_loss)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	advance(&w, HOLD - SECOND);
	probed(&w, true, true);
	probed(&w, false, true);
	probed(&w, false, true);
	advance(&w, HOLD - SECOND);
	did(&w, "");
	advance(&w, SECOND);
	did(&w, "apply:drain");
	world_done(&w);
}

Test(loop, asks_dns_anew_when_it_comes_to_be_redirected)
{
	const struct world_setup setup = { .no_dns = true, .hold_nsec = usual.hold_nsec };
	struct world w;

	world_up(&w, &setup);
	/* A round is under way that does not ask. */
	w.d.next = paper_generation(&usual, 2);
	w.woken = true;
	turn(&w);
	did(&w, "apply:no-dns");
	probed(&w, true, true);
	did(&w, "");
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	world_done(&w);
}
