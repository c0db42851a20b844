/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Once the service is ready nothing that happens to a child ends it: crashes, hangs, starts that do not
 * succeed, and requests in the middle of all that. */

#include "tests/process/loop.h"

#define HOLD (30 * SECOND)

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = 30LL * 1000000000 };
static const struct world_setup own_dns = { .core_dns = true,
					    .hold_nsec = (int64_t)HOLD * 1000,
					    .drain_nsec = 30LL * 1000000000 };
static const struct world_setup never = { .hold_nsec = DURATION_INFINITY,
					  .drain_nsec = 30LL * 1000000000 };
static const struct world_setup no_hold = { .drain_nsec = 30LL * 1000000000 };

/* Rounds without any of what is asked for. */
static void silence(struct world *w, uint64_t usec)
{
	for (uint64_t end = w->now + usec; w->now < end && !w->ended;)
		probed(w, false, false);
}

Test(loop, starts_kuma_dp_again_when_it_dies_and_holds_the_rules)
{
	struct world w;

	world_up(&w, &own_dns);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	cr_expect_eq(w.d.carry.situation.hold_until_usec, w.now + HOLD);
	advance(&w, 249 * MSEC);
	did(&w, "");
	advance(&w, MSEC);
	did(&w, "sweep-session start:kuma-dp");
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(w.d.carry.child[CHILD_KUMA_DP].starts, 2);
	cr_expect_eq(w.d.carry.child[CHILD_CORE_DNS].starts, 1);
	world_done(&w);
}

/* Jitter: a quarter of the pause at most. */
Test(loop, comes_back_a_little_earlier_by_chance)
{
	struct world w;

	world_up(&w, &usual);
	w.random = 999;
	child_exits(&w, CHILD_KUMA_DP, 1);
	w.book[0] = '\0';
	advance(&w, 187 * MSEC);
	did(&w, "");
	advance(&w, 2 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	world_done(&w);
}

Test(loop, counts_envoys_death_at_once_and_kuma_dps_end_follows)
{
	struct world w;

	world_up(&w, &usual);
	envoy_ends(&w);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 250 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	world_done(&w);
}

Test(loop, brings_kuma_dps_end_about_where_it_does_not_follow_envoy)
{
	struct world w;

	world_up(&w, &usual);
	envoy_ends(&w);
	did(&w, "apply:no-dns");
	advance(&w, 1999 * MSEC);
	did(&w, "");
	advance(&w, MSEC);
	did(&w, "TERM:kuma-dp");
	advance(&w, 1250 * MSEC);
	did(&w, "TERM:kuma-dp KILL:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	advance(&w, 250 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	world_done(&w);
}

/* Both ended in one turn, and kuma-dp's end is told first. */
Test(loop, does_not_take_the_former_envoys_end_for_that_of_the_next)
{
	struct world w;

	world_up(&w, &usual);
	proc_event(proc_of(&w.d, CHILD_KUMA_DP), PROC_EV_RESTART);
	turn(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	w.book[0] = '\0';
	envoy_ends(&w);
	advance(&w, 5 * SECOND);
	did(&w, "");
	cr_expect_eq(proc_of(&w.d, CHILD_KUMA_DP)->state, PROC_STARTING);
	world_done(&w);
}

Test(loop, restarts_its_coredns_alone)
{
	struct world w;

	world_up(&w, &own_dns);
	child_exits(&w, CHILD_CORE_DNS, 2);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
	advance(&w, 250 * MSEC);
	did(&w, "sweep-session start:coredns");
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(w.d.carry.child[CHILD_KUMA_DP].starts, 1);
	cr_expect_eq(w.d.carry.child[CHILD_CORE_DNS].starts, 2);
	world_done(&w);
}

Test(loop, waits_for_what_the_former_kuma_dp_left)
{
	struct world w;

	world_up(&w, &usual);
	w.left = 3;
	child_exits(&w, CHILD_KUMA_DP, 1);
	w.book[0] = '\0';
	advance(&w, 300 * MSEC);
	did(&w, "sweep-session sweep-session sweep-session sweep-session start:kuma-dp");
	/* Not for ever. */
	w.left = 1000;
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 4 * SECOND);
	cr_expect(strstr(w.book, "start:kuma-dp"));
	world_done(&w);
}

/* A round that began before the crash knows nothing of it. */
Test(loop, does_not_believe_a_round_that_is_older_than_a_crash)
{
	struct world w;

	world_up(&w, &usual);
	cr_assert(w.probing);
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "apply:no-dns");
	cr_assert_not(w.probing);
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	/* Nor what answers without a kuma-dp: it is about to go. */
	w.timer[TIMER_PROBE] = w.now;
	probed(&w, true, true);
	cr_expect_not(w.d.carry.situation.proxy_serving);
	world_done(&w);
}

/* The round under way counts for nothing, so the next one comes soon. */
Test(loop, asks_again_soon_after_a_round_in_which_a_child_was_started)
{
	struct world w;

	world_up(&w, &own_dns);
	child_exits(&w, CHILD_CORE_DNS, 1);
	advance(&w, 250 * MSEC);
	did(&w, "apply:no-dns sweep-session start:coredns");
	cr_assert(w.probing);
	probed(&w, true, true);
	did(&w, "");
	cr_expect_eq(w.timer[TIMER_PROBE], w.now + 100 * MSEC);
	probed(&w, true, true);
	did(&w, "apply:full");
	world_done(&w);
}

Test(loop, treats_a_hang_as_a_crash_when_its_time_is_over)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, false);
	probed(&w, false, false);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	silence(&w, 9800 * MSEC);
	did(&w, "");
	silence(&w, 300 * MSEC);
	did(&w, "TERM:kuma-dp");
	/* It was stopped and hears nothing. */
	silence(&w, 1300 * MSEC);
	did(&w, "TERM:kuma-dp KILL:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	advance(&w, 250 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "apply:full");
	world_done(&w);
}

Test(loop, leaves_a_hang_alone_that_is_over_in_time)
{
	struct world w;

	world_up(&w, &usual);
	silence(&w, 9 * SECOND);
	did(&w, "apply:no-dns");
	probed(&w, true, true);
	did(&w, "apply:full");
	advance(&w, 2 * SECOND);
	for (int i = 0; i < 20; i++)
		probed(&w, true, true);
	did(&w, "");
	world_done(&w);
}

Test(loop, restarts_a_coredns_that_hangs)
{
	struct world w;

	world_up(&w, &own_dns);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "apply:no-dns");
	for (uint64_t end = w.now + 9800 * MSEC; w.now < end;)
		probed(&w, true, false);
	did(&w, "");
	for (int i = 0; i < 17; i++)
		probed(&w, true, false);
	did(&w, "TERM:coredns TERM:coredns KILL:coredns");
	child_exits(&w, CHILD_CORE_DNS, 0);
	advance(&w, 250 * MSEC);
	did(&w, "sweep-session start:coredns");
	cr_expect_eq(w.d.child[CHILD_KUMA_DP].proc.state, PROC_READY);
	world_done(&w);
}

static void no_dns_by_kuma_dp(struct world *w, uint64_t usec)
{
	for (uint64_t end = w->now + usec; w->now < end;)
		probed(w, true, false);
}

/* A restart of kuma-dp is dear: later than a hang's, and later each time that it does not help. */
Test(loop, restarts_kuma_dp_for_its_dns_late_and_later)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "apply:no-dns");
	for (uint64_t grace = 30 * SECOND; grace <= 120 * SECOND; grace *= 2) {
		no_dns_by_kuma_dp(&w, grace - SECOND);
		did(&w, "");
		cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
		no_dns_by_kuma_dp(&w, 1200 * MSEC);
		did(&w, "TERM:kuma-dp");
		child_exits(&w, CHILD_KUMA_DP, 0);
		advance(&w, SECOND);
		did(&w, "sweep-session start:kuma-dp");
		probed(&w, true, false);
		probed(&w, true, false);
	}
	probed(&w, true, true);
	did(&w, "apply:full");
	probed(&w, true, false);
	probed(&w, true, false);
	w.book[0] = '\0';
	no_dns_by_kuma_dp(&w, 30 * SECOND);
	did(&w, "TERM:kuma-dp");
	world_done(&w);
}

/* Our coredns answers, Envoy's DNS does not: it is not the fault of coredns. */
Test(loop, does_not_restart_its_coredns_for_envoys_dns)
{
	struct world w;

	world_up(&w, &own_dns);
	for (uint64_t end = w.now + 20 * SECOND; w.now < end;) {
		answered(&w, &(struct probe_result){ .admin = true,
						     .listeners = true,
						     .core_dns = true,
						     .kuma_dp = true,
						     .envoy = ENVOY_PID });
	}
	did(&w, "apply:no-dns");
	world_done(&w);
}

Test(loop, ends_a_start_that_does_not_serve_and_tries_again)
{
	struct world w;

	world_up(&w, &usual);
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 300 * MSEC);
	did(&w, "apply:no-dns sweep-session start:kuma-dp");
	silence(&w, 179 * SECOND);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	silence(&w, 1100 * MSEC);
	did(&w, "TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none");
	advance(&w, 500 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "apply:full");
	world_done(&w);
}

Test(loop, tries_again_a_child_that_cannot_be_started)
{
	struct world w;

	world_up(&w, &usual);
	w.spawn_result = -ENOENT;
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 250 * MSEC);
	did(&w, "apply:no-dns sweep-session start:kuma-dp");
	advance(&w, 500 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	w.spawn_result = 0;
	advance(&w, SECOND);
	did(&w, "sweep-session start:kuma-dp");
	cr_expect_eq(w.d.child[CHILD_KUMA_DP].proc.state, PROC_STARTING);
	world_done(&w);
}

Test(loop, releases_when_the_hold_is_over_while_kuma_dp_is_down)
{
	struct world w;

	world_up(&w, &usual);
	w.spawn_result = -ENOENT;
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, HOLD - MSEC);
	cr_expect_eq(w.kernel, LEVEL_NO_DNS);
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, MSEC);
	cr_expect_eq(w.kernel, LEVEL_NONE);
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	w.spawn_result = 0;
	advance(&w, 31 * SECOND);
	w.book[0] = '\0';
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop, waits_for_nothing_without_a_hold)
{
	struct world w;

	world_up(&w, &no_hold);
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "apply:none");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	world_done(&w);

	world_up(&w, &no_hold);
	envoy_ends(&w);
	did(&w, "apply:drain");
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "apply:none");
	advance(&w, 250 * MSEC);
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "sweep-session start:kuma-dp apply:full");
	world_done(&w);
}

Test(loop, lets_nothing_go_direct_over_any_number_of_crashes_under_an_infinite_hold)
{
	struct world w;

	world_up(&w, &never);
	for (int i = 0; i < 50; i++) {
		if (i % 2)
			envoy_ends(&w);
		if (child_lives(&w.d, CHILD_KUMA_DP))
			child_exits(&w, CHILD_KUMA_DP, 1);
		advance(&w, 31 * SECOND);
		cr_expect_null(strstr(w.book, "apply"), "%s", w.book);
		cr_expect_eq(w.kernel, LEVEL_FULL);
		w.book[0] = '\0';
		probed(&w, true, true);
		probed(&w, true, true);
		cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	}
	world_done(&w);
}

/* The pauses grow while it does not last. */
Test(loop, takes_its_time_with_what_crashes_again_and_again)
{
	struct world w;

	world_up(&w, &usual);
	for (int i = 0; i < 20; i++) {
		child_exits(&w, CHILD_KUMA_DP, 1);
		advance(&w, 31 * SECOND);
	}
	cr_expect_eq(w.d.carry.child[CHILD_KUMA_DP].starts, 21);
	child_exits(&w, CHILD_KUMA_DP, 1);
	w.book[0] = '\0';
	advance(&w, 29 * SECOND);
	did(&w, "");
	advance(&w, SECOND);
	did(&w, "sweep-session start:kuma-dp");
	world_done(&w);
}

/* Brings a world that was up into one of the states in which it is stopped below. */
enum down_state {
	DOWN_BACKOFF,
	DOWN_SWEEPING,
	DOWN_STARTING,
	DOWN_RELEASED,
	DOWN_ENDING,
	DOWN_ENVOY,
	DOWN_RESTARTING,
	DOWN_STATES,
};

static void bring_down(struct world *w, enum down_state state)
{
	if (state == DOWN_ENDING) {
		silence(w, 12 * SECOND);
	} else if (state == DOWN_ENVOY) {
		envoy_ends(w);
	} else if (state == DOWN_RESTARTING) {
		proc_event(&w->d.child[CHILD_KUMA_DP].proc, PROC_EV_RESTART);
		turn(w);
	} else {
		child_exits(w, CHILD_KUMA_DP, 1);
		w->left = state == DOWN_SWEEPING ? 20 : 0;
		if (state != DOWN_BACKOFF)
			advance(w, 255 * MSEC);
		if (state == DOWN_RELEASED)
			silence(w, HOLD);
	}
	w->book[0] = '\0';
}

static void ends(struct world *w, const char *what)
{
	w->left = 0;
	for (int n = 0; n < 100 && !w->ended; n++) {
		for (enum child_id id = 0; id < w->d.n_children; id++)
			if (id == CHILD_CORE_DNS ? child_lives(&w->d, id)
						 : w->d.child[id].proc.term == PROC_TERM_TWICE)
				child_exits(w, id, 0);
		advance(w, 100 * MSEC);
	}
	cr_expect(w->ended, "%s: no end", what);
	cr_expect_eq(w->status, 0, "%s", what);
	cr_expect_eq(w->kernel, LEVEL_NONE, "%s", what);
	cr_expect_null(strstr(w->book, "start:"), "%s: %s", what, w->book);
	for (enum child_id id = 0; id < w->d.n_children; id++)
		cr_expect_not(child_lives(&w->d, id), "%s", what);
}

Test(loop, stops_from_every_state_in_which_kuma_dp_is_down)
{
	static const struct world_setup *const setups[] = { &usual, &own_dns, &never, &no_hold };
	char what[40];

	for (size_t i = 0; i < ELEMENTS(setups); i++) {
		for (enum down_state state = 0; state < DOWN_STATES; state++) {
			for (int again = 0; again < 2; again++) {
				struct world w;

				(void)snprintf(what, sizeof(what), "setup %zu, state %u, %s", i,
					       state, again ? "twice" : "once");
				world_up(&w, setups[i]);
				bring_down(&w, state);
				asked_to_stop(&w);
				if (again && !w.ended)
					asked_to_stop(&w);
				ends(&w, what);
				world_done(&w);
			}
		}
	}
}

/* A stop while the rules cannot be changed: what was being restarted does not come back meanwhile. */
Test(loop, starts_nothing_while_it_stops_and_others_are_busy)
{
	struct world w;

	world_up(&w, &usual);
	bring_down(&w, DOWN_RESTARTING);
	w.apply_always = NETFILTER_BUSY;
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	advance(&w, SECOND);
	cr_expect_null(strstr(w.book, "start:"), "%s", w.book);
	w.apply_always = 0;
	ends(&w, "busy");
	world_done(&w);
}

/* The pause is over in the very turn of the request. */
Test(loop, starts_nothing_in_the_turn_in_which_it_is_asked_to_stop)
{
	struct world w;

	world_up(&w, &usual);
	bring_down(&w, DOWN_BACKOFF);
	daemon_stop(&w.d);
	proc_timeout(&w.d.child[CHILD_KUMA_DP].proc);
	turn(&w);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(loop, adopts_a_next_generation_when_the_proxy_is_back)
{
	for (enum down_state state = 0; state < DOWN_RESTARTING; state++) {
		struct world w;

		world_up(&w, &usual);
		bring_down(&w, state);
		w.d.next = paper_generation(&usual, 2);
		w.woken = true;
		turn(&w);
		cr_expect_eq(w.d.current->number, 1, "state %u", state);
		if (child_lives(&w.d, CHILD_KUMA_DP) && state != DOWN_STARTING)
			child_exits(&w, CHILD_KUMA_DP, 1);
		w.left = 0;
		advance(&w, 2 * SECOND);
		probed(&w, true, true);
		probed(&w, true, true);
		cr_expect_eq(w.d.current->number, 2, "state %u", state);
		cr_expect_eq(w.last_generation, 2, "state %u", state);
		cr_expect_eq(w.kernel, LEVEL_FULL, "state %u", state);
		cr_expect_null(w.d.applied);
		world_done(&w);
	}
}

Test(loop, is_degraded_while_kuma_dp_itself_is_silent_and_then_ends_it)
{
	struct world w;

	world_up(&w, &usual);
	for (uint64_t end = w.now + 13500 * MSEC; w.now < end;) {
		answered(&w, &(struct probe_result){ .admin = true,
						     .listeners = true,
						     .dns = true,
						     .core_dns = true,
						     .envoy = ENVOY_PID,
						     .missing = "kuma-dp itself" });
		if (w.now < end - 4 * SECOND && w.d.probe.misses > 1) {
			cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
			cr_expect_str_eq(w.d.status, "Degraded: kuma-dp itself does not answer");
			did(&w, "");
		}
	}
	/* The rules stay as they are: traffic goes on. */
	did(&w, "TERM:kuma-dp TERM:kuma-dp KILL:kuma-dp");
	world_done(&w);
}

Test(loop, tells_of_the_control_plane_once)
{
	struct world w;

	world_up(&w, &usual);
	cr_expect_eq(w.d.control_plane.state, CONTROL_PLANE_CONNECTED);
	for (int i = 0; i < 3; i++) {
		struct probe_result result = { .admin = true,
					       .listeners = true,
					       .dns = true,
					       .core_dns = true,
					       .kuma_dp = true,
					       .envoy = ENVOY_PID,
					       .control_plane = CONTROL_PLANE_LOST };

		answered(&w, &result);
		cr_expect_eq(w.d.control_plane.state, CONTROL_PLANE_LOST);
		cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	}
	cr_expect_lt(w.d.control_plane.since_usec, w.now);
	probed(&w, true, true);
	cr_expect_eq(w.d.control_plane.state, CONTROL_PLANE_CONNECTED);
	did(&w, "");
	world_done(&w);
}
