/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The loop while the control plane refuses a proxy that has just ended. */

#include "tests/process/loop.h"

static const struct world_setup usual = { .hold_nsec = 30 * (int64_t)1000 * 1000 * 1000 };

/* A round as it is while the control plane refuses the proxy: Envoy is there, and no more. */
static void refused(struct world *w)
{
	answered(w, &(struct probe_result){ .admin = true,
					    .kuma_dp = true,
					    .envoy = ENVOY_PID,
					    .control_plane = CONTROL_PLANE_LOST });
}

/* The one more start is timed so that its first try comes shortly before the 10 s are over, and then its
 * Envoy is kept still until they are. */
Test(loop, times_one_more_start_where_the_control_plane_refuses)
{
	struct world w;
	uint64_t crash, started, lead = 700 * MSEC;

	world_up(&w, &usual);
	crash = w.now;
	envoy_ends(&w);
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 250 * MSEC);
	did(&w, "apply:no-dns sweep-session start:kuma-dp");
	started = w.now;
	advance(&w, lead);
	daemon_refused(&w.d); /* a line of Envoy's */
	turn(&w);
	cr_expect(strstr(w.d.status,
			 "it waits for the control plane to accept this node again, about 10 s"),
		  "%s", w.d.status);
	while (w.now < crash + 5 * SECOND) {
		refused(&w);
		daemon_refused(&w.d);
	}
	did(&w, "");
	while (w.now < crash + 6800 * MSEC)
		refused(&w);
	did(&w, "TERM:kuma-dp TERM:kuma-dp");
	envoy_ends(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	while (!strstr(w.book, "start:kuma-dp"))
		advance(&w, 10 * MSEC);
	did(&w, "sweep-session start:kuma-dp");
	started = w.d.carry.child[CHILD_KUMA_DP].started_usec;
	cr_expect_geq(started + lead, crash + 8800 * MSEC);
	cr_expect_leq(started + lead, crash + 9000 * MSEC);
	/* It is refused once more, and there is no third one. */
	advance(&w, lead);
	daemon_refused(&w.d);
	/* The round under way ends at once; the next one tells who is Envoy, and waits for no more. */
	cr_expect(w.hurried);
	answered(&w, &(struct probe_result){ .admin = true });
	while (!w.probing)
		advance(&w, 10 * MSEC);
	cr_expect_eq(w.timeout_usec, 100 * MSEC);
	refused(&w);
	cr_expect(w.d.control_plane.still);
	refused(&w);
	cr_expect_eq(w.timeout_usec, SECOND);
	did(&w, "STOP:envoy");
	cr_expect(strstr(w.d.status, "about 1 s") || strstr(w.d.status, "about 2 s"), "%s",
		  w.d.status);
	advance(&w, crash + 10 * SECOND - w.now);
	did(&w, "");
	advance(&w, 100 * MSEC);
	did(&w, "CONT:envoy");
	cr_expect_null(strstr(w.d.status, "accept this node"), "%s", w.d.status);
	while (w.now < crash + 60 * SECOND)
		refused(&w);
	cr_expect_null(strstr(w.book, "kuma-dp"), "%s", w.book);
	probed(&w, true, true);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(w.d.control_plane.refusal.crash_usec, 0);
	world_done(&w);
}

Test(loop, times_no_start_without_a_crash_before)
{
	struct world w;

	world_up(&w, &usual);
	daemon_refused(&w.d);
	cr_expect_eq(w.d.control_plane.refusal.start_usec, 0);
	/* Nor where it comes late: Envoy's own next try is as soon. */
	child_exits(&w, CHILD_KUMA_DP, 1);
	w.spawn_result = -EAGAIN;
	advance(&w, 8 * SECOND);
	w.spawn_result = 0;
	while (!child_lives(&w.d, CHILD_KUMA_DP))
		advance(&w, 10 * MSEC);
	advance(&w, 700 * MSEC);
	daemon_refused(&w.d);
	turn(&w);
	cr_expect_eq(w.d.control_plane.refusal.start_usec, 0);
	world_done(&w);
}

/* Without the children's lines (no journal) Envoy's figure tells. */
Test(loop, sees_a_refusal_by_envoys_figure)
{
	struct world w;
	uint64_t crash;

	world_up(&w, &usual);
	crash = w.now;
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, SECOND);
	refused(&w);
	cr_expect_eq(w.d.control_plane.refusal.start_usec, 0, "it may not have tried yet");
	advance(&w, 100 * MSEC);
	refused(&w);
	cr_expect_gt(w.d.control_plane.refusal.start_usec, crash + 7500 * MSEC);
	cr_expect_lt(w.d.control_plane.refusal.start_usec, crash + 9 * SECOND);
	world_done(&w);
}

/* A crash of the refused one in between is a crash like any other, and the timed start still comes. */
Test(loop, times_the_start_also_where_the_refused_one_crashes)
{
	struct world w;
	uint64_t crash;

	world_up(&w, &usual);
	crash = w.now;
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 1400 * MSEC);
	refused(&w);
	child_exits(&w, CHILD_KUMA_DP, 1);
	advance(&w, 1400 * MSEC);
	/* One began while there was no kuma-dp. */
	refused(&w);
	refused(&w);
	cr_expect_eq(w.d.carry.child[CHILD_KUMA_DP].starts, 3);
	cr_expect_gt(w.d.control_plane.refusal.start_usec, crash + 7500 * MSEC);
	world_done(&w);
}

/* Up to the moment where the Envoy of the timed start is kept still. */
static void world_still(struct world *w)
{
	world_up(w, &usual);
	child_exits(w, CHILD_KUMA_DP, 1);
	advance(w, SECOND);
	refused(w);
	while (w->d.child[CHILD_KUMA_DP].proc.state != PROC_ENDING)
		refused(w);
	child_exits(w, CHILD_KUMA_DP, 0);
	while (!child_lives(&w->d, CHILD_KUMA_DP))
		advance(w, 10 * MSEC);
	while (!w->d.control_plane.still)
		refused(w);
	w->book[0] = '\0';
}

/* Whatever ends it, or has to end: it must hear that. */
Test(loop, continues_envoy_before_it_is_to_end)
{
	struct world w;

	world_still(&w);
	daemon_stop(&w.d);
	turn(&w);
	cr_expect_eq(strncmp(w.book, "CONT:envoy", strlen("CONT:envoy")), 0, "%s", w.book);
	cr_expect_not(w.d.control_plane.still);
	world_done(&w);

	world_still(&w);
	envoy_ends(&w);
	cr_expect_not(w.d.control_plane.still);
	world_done(&w);
}

/* The service is stopped and started again at once: its first kuma-dp is refused, too. The start does not
 * fail for it, and the one more start counts from the first one. */
Test(loop, times_one_more_start_also_for_the_first_one)
{
	struct world w;
	uint64_t started, by;

	world_init(&w, &usual);
	turn(&w);
	advance(&w, 100 * MSEC);
	started = w.d.carry.child[CHILD_KUMA_DP].started_usec;
	refused(&w);
	cr_expect_eq(w.d.control_plane.refusal.start_usec, 0,
		     "no figure tells before it has served");
	advance(&w, 500 * MSEC);
	daemon_refused(&w.d);
	turn(&w);
	cr_expect_str_eq(w.d.status,
			 "Waiting for the control plane to accept this node again, about 10 s");
	by = w.d.control_plane.refusal.start_usec;
	cr_expect_gt(by, started + 7500 * MSEC);
	while (w.d.child[CHILD_KUMA_DP].proc.state != PROC_ENDING)
		refused(&w);
	envoy_ends(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	while (!child_lives(&w.d, CHILD_KUMA_DP))
		advance(&w, 10 * MSEC);
	cr_expect_geq(w.d.carry.child[CHILD_KUMA_DP].started_usec, by);
	cr_expect_eq(w.d.carry.situation.wish, WISH_RUN);
	probed(&w, true, true);
	probed(&w, true, true);
	cr_expect(w.d.carry.ready);
	cr_expect_eq(w.d.exit_status, 0);
	world_done(&w);
}
