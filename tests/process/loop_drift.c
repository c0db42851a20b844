/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Others change the rules: in every phase, once, again and again, while an apply fails. */

#include "tests/process/loop.h"

#define HOLD (8 * SECOND) /* a hang takes longer to be taken for a crash */

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = 30LL * 1000000000 };

/* Somebody with the lock changes something, and the loop has a second for it. */
static void disturb(struct world *w, const char *difference)
{
	w->difference = difference;
	daemon_disturbed(&w->d, NULL);
	turn(w);
}

/* Nothing but time passes; the proxy answers. */
static void pass(struct world *w, uint64_t usec)
{
	for (uint64_t end = w->now + usec; w->now < end;) {
		if (round_due(w) <= w->now)
			probed(w, true, true);
		advance(w, 50 * MSEC);
	}
}

Test(drift, puts_right_at_once_what_somebody_tells_of)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	did(&w, "");
	disturb(&w, "ipv4 nat: chain KUMA_MESH_OUTBOUND is gone");
	did(&w, "apply:full");
	cr_expect_eq(w.d.drift.repairs.n, 1);
	cr_expect_eq(w.d.drift.repairs.last_usec, w.now);
	cr_expect_not(w.d.carry.situation.disturbed);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect(strncmp(w.d.status, "Redirecting", 11) == 0, "%s", w.d.status);
	/* It looks whether it is so. */
	pass(&w, SECOND);
	did(&w, "");
	cr_expect_eq(w.timer[TIMER_DRIFT], USEC_NEVER);
	world_done(&w);
}

Test(drift, does_nothing_where_nothing_was_changed)
{
	struct world w;
	unsigned looks;

	world_up(&w, &usual);
	pass(&w, SECOND);
	looks = w.looks;
	disturb(&w, NULL);
	did(&w, "");
	cr_expect_eq(w.looks, looks + 1);
	world_done(&w);
}

/* Nobody tells: sizes do, at every second round of probes, which wakes the loop anyway. */
Test(drift, notices_by_the_sizes_what_nobody_tells_of)
{
	struct world w;
	uint64_t at;

	world_up(&w, &usual);
	w.cpu = 20 * MSEC;
	pass(&w, 10 * SECOND);
	for (unsigned n = 0; n < 3; n++) {
		at = w.now;
		w.sizes++;
		w.difference = "ipv4 nat: all 21 rules are gone";
		while (w.difference && w.now < at + 10 * SECOND)
			pass(&w, 50 * MSEC);
		cr_expect_lt(w.now - at, 6 * SECOND);
		did(&w, "apply:full");
		pass(&w, 7700 * MSEC);
	}
	world_done(&w);
}

/* A rule that replaces another does not change the size. */
Test(drift, lists_the_rules_now_and_then_whatever_the_sizes_say)
{
	struct world w;
	uint64_t at;

	world_up(&w, &usual);
	pass(&w, 10 * SECOND);
	at = w.now;
	w.difference = "ipv4 nat: KUMA_MESH_INBOUND lacks 1 of 3 rules";
	while (w.difference && w.now < at + 100 * SECOND)
		pass(&w, 50 * MSEC);
	cr_expect_lt(w.now - at, 66 * SECOND);
	did(&w, "apply:full");
	world_done(&w);
}

/* A host with tens of thousands of rules. */
Test(drift, looks_less_often_where_a_look_is_dear)
{
	struct world w;
	unsigned looks;

	world_up(&w, &usual);
	w.cpu = 50 * MSEC;
	pass(&w, 2 * SECOND);
	disturb(&w, NULL);
	looks = w.looks;
	/* One part in twenty at most, however much the others do. */
	for (int i = 0; i < 200; i++) {
		disturb(&w, NULL);
		pass(&w, 50 * MSEC);
	}
	cr_expect_leq(w.looks - looks, 11);
	cr_expect_geq(w.looks - looks, 8);
	/* Idle, one in a thousand. */
	pass(&w, 5 * SECOND);
	looks = w.looks;
	pass(&w, 600 * SECOND);
	cr_expect_leq(w.looks - looks, 12);
	cr_expect_geq(w.looks - looks, 10);
	world_done(&w);
}

Test(drift, does_not_wake_the_loop_while_nothing_happens)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, 2 * SECOND);
	for (int i = 0; i < 1000; i++) {
		pass(&w, 100 * MSEC);
		cr_expect_eq(w.timer[TIMER_DRIFT], USEC_NEVER);
	}
	did(&w, "");
	world_done(&w);
}

Test(drift, keeps_what_is_held_as_it_was)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, 100 * MSEC);
	disturb(&w, "ipv6 nat: all 20 rules are gone");
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, HOLD);
	did(&w, "apply:drain");
	world_done(&w);
}

Test(drift, lets_nothing_come_back_while_it_is_released)
{
	const struct world_setup setup = { .hold_nsec = 0 };
	struct world w;

	world_up(&w, &setup);
	probed(&w, false, true);
	probed(&w, false, true);
	did(&w, "apply:drain");
	pass(&w, 0);
	disturb(&w, "ipv4 nat: chain KUMA_MESH_OUTBOUND is there again");
	advance(&w, SECOND);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	probed(&w, true, true);
	did(&w, "apply:full");
	world_done(&w);
}

Test(drift, goes_on_while_it_drains_at_the_end)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	asked_to_stop(&w);
	did(&w, "apply:drain TERM:kuma-dp");
	disturb(&w, "ipv4 nat: chain KUMA_MESH_OUTBOUND is there again");
	advance(&w, SECOND);
	did(&w, "apply:drain");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

/* Before the first service kumactl's rules stay. */
Test(drift, does_not_look_before_the_first_service)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	disturb(&w, "ipv4 nat: chain KUMA_MESH_OUTBOUND is there again");
	advance(&w, SECOND);
	cr_expect_eq(w.looks, 0);
	did(&w, "apply:none start:kuma-dp");
	world_done(&w);
}

Test(drift, repairs_with_the_next_change_where_one_is_due)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	w.apply_results[0] = NETFILTER_BUSY;
	w.n_apply_results = 1;
	w.n_applied = 0;
	disturb(&w, "ipv4 nat: all 21 rules are gone");
	did(&w, "busy:full");
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	cr_expect(strstr(w.d.status, "all 21 rules are gone"), "%s", w.d.status);
	probed(&w, true, false);
	w.book[0] = '\0';
	pass(&w, 100 * MSEC);
	cr_expect_eq(w.d.drift.repairs.n, 1);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(drift, tries_again_when_a_repair_fails_and_says_so)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	w.apply_results[0] = w.apply_results[1] = -EIO;
	w.n_apply_results = 2;
	w.n_applied = 0;
	disturb(&w, "ipv4 nat: all 21 rules are gone");
	did(&w, "fail:full");
	/* Not unknown: it would be left alone while it is held. */
	cr_expect_eq(w.d.carry.situation.applied, LEVEL_FULL);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	cr_expect(strstr(w.d.status, "Cannot apply the rules: "), "%s", w.d.status);
	pass(&w, 1100 * MSEC);
	did(&w, "fail:full");
	pass(&w, 1100 * MSEC);
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(w.d.drift.repairs.n, 1);
	world_done(&w);
}

Test(drift, tries_again_while_it_holds)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	w.apply_results[0] = -EIO;
	w.n_apply_results = 1;
	w.n_applied = 0;
	disturb(&w, "ipv4 nat: all 21 rules are gone");
	advance(&w, 1100 * MSEC);
	did(&w, "fail:full apply:full");
	world_done(&w);
}

Test(drift, forgets_a_difference_that_others_have_put_right)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	disturb(&w, "ipv4 nat: OUTPUT lacks 1 of 1 rule of ours");
	did(&w, "apply:full");
	disturb(&w, "ipv4 nat: OUTPUT lacks 1 of 1 rule of ours");
	/* The next one has to wait a little. */
	did(&w, "");
	pass(&w, 150 * MSEC);
	cr_expect(w.d.carry.situation.disturbed);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	w.difference = NULL;
	pass(&w, SECOND);
	did(&w, "");
	cr_expect_not(w.d.carry.situation.disturbed);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(w.d.drift.repairs.n, 1);
	world_done(&w);
}

/* Two programs that both insist: it is told, and the pauses grow. */
Test(drift, backs_off_where_another_program_insists)
{
	struct world w;
	unsigned n = 0;

	world_up(&w, &usual);
	pass(&w, SECOND);
	for (uint64_t end = w.now + 600 * SECOND; w.now < end;) {
		w.difference = "ipv4 nat: all 21 rules are gone";
		daemon_disturbed(&w.d, NULL);
		turn(&w);
		pass(&w, 50 * MSEC);
		w.book[0] = '\0';
	}
	n = w.d.drift.repairs.n;
	cr_expect(repairs_fight(&w.d.drift.repairs, w.now));
	cr_expect_leq(n, 90, "%u", n);
	cr_expect_geq(n, 30, "%u", n);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING, "it does not say that it redirects");
	/* It does not keep anything from being changed that has to be. */
	asked_to_stop(&w);
	did(&w, "apply:drain TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(drift, looks_again_after_a_look_that_failed)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	w.differs_result = -ENOMEM;
	disturb(&w, "ipv4 nat: all 21 rules are gone");
	did(&w, "");
	pass(&w, 900 * MSEC);
	did(&w, "");
	w.differs_result = 0;
	pass(&w, 200 * MSEC);
	did(&w, "apply:full");
	world_done(&w);
}

Test(drift, takes_over_what_kumactl_puts_into_nf_tables)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	w.leftovers = true;
	daemon_tables_changed(&w.d, "nft");
	turn(&w);
	did(&w, "take-overnft");
	/* Again and again: sooner or later, but never at once. */
	for (int i = 0; i < 100; i++) {
		w.leftovers = true;
		daemon_tables_changed(&w.d, "nft");
		turn(&w);
		pass(&w, 50 * MSEC);
	}
	cr_expect_leq(w.d.drift.takeovers.n, 21);
	cr_expect_geq(w.d.drift.takeovers.n, 10);
	w.book[0] = '\0';
	pass(&w, 2 * SECOND);
	cr_expect_not(w.leftovers);
	cr_expect_eq(w.timer[TIMER_TABLES], USEC_NEVER);
	world_done(&w);
}

Test(drift, leaves_nf_tables_alone_while_it_does_not_redirect)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	daemon_tables_changed(&w.d, "nft");
	turn(&w);
	advance(&w, SECOND);
	did(&w, "");
	probed(&w, true, true);
	did(&w, "take-overnft");
	world_done(&w);
}

Test(drift, tells_once_of_nat_rules_of_others_in_nf_tables)
{
	struct world w;

	world_up(&w, &usual);
	pass(&w, SECOND);
	w.foreign = true;
	for (int i = 0; i < 5; i++) {
		daemon_tables_changed(&w.d, NULL);
		turn(&w);
		pass(&w, SECOND);
	}
	cr_expect(w.asked_foreign == 1 && w.asked_first == 0);
	cr_expect(w.d.drift.told_foreign);
	world_done(&w);
}

Test(drift, tells_once_of_those_that_come_before_ours_there)
{
	struct netfilter_backend in_tables;
	struct world w;

	world_up(&w, &usual);
	in_tables = *w.d.redirect.backend;
	in_tables.in_tables = true;
	w.d.redirect.backend = &in_tables;
	pass(&w, SECOND);
	w.foreign = true;
	for (int i = 0; i < 5; i++) {
		daemon_tables_changed(&w.d, NULL);
		turn(&w);
		pass(&w, SECOND);
	}
	cr_expect(w.asked_foreign == 0 && w.asked_first == 1);
	cr_expect(w.d.drift.told_foreign);
	world_done(&w);
}
