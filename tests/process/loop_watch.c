/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rounds of probes: how often the loop is woken for them, and how soon they find something. */

#include <stdio.h>

#include "tests/process/loop.h"

static const struct world_setup usual = { .core_dns = true, .hold_nsec = 30LL * 1000000000 };

/* Questions whose answers nobody waits for: they are read at the end. */
static bool lazy_round(const struct world *w)
{
	return w->probing && w->round_usec > 0;
}

Test(loop, wakes_once_in_two_seconds_while_all_is_well)
{
	struct world w;

	world_up(&w, &usual);
	for (unsigned minute = 0; minute < 60; minute++) {
		uint64_t end = w.now + 60 * SECOND;

		w.wakeups = 0;
		while (w.now < end)
			probed(&w, true, true);
		cr_expect_leq(w.wakeups, 31);
	}
	did(&w, "");
	world_done(&w);
}

Test(loop, asks_again_at_once_what_has_not_answered)
{
	struct world w;
	uint64_t since;

	world_up(&w, &usual);
	since = w.now;
	cr_expect(lazy_round(&w));
	probed(&w, false, true);
	cr_expect_eq(w.now - since, 2 * SECOND);
	cr_expect(w.probing && !lazy_round(&w), "nothing is waited for");
	did(&w, "");
	probed(&w, false, true);
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	cr_expect_eq(w.now - since, 2 * SECOND);
	/* And so often as at a start, until it serves. */
	probed(&w, false, true);
	cr_expect_eq(w.now - since, 2 * SECOND + 100 * MSEC);
	probed(&w, true, true);
	did(&w, "");
	cr_expect(lazy_round(&w));
	world_done(&w);
}

#ifndef LOOP_REPLACED /* another image does not know what was missing before */
static void misses(struct world *w, const char *what, uint64_t pause)
{
	struct probe_result result = { .kuma_dp = true };

	(void)snprintf(result.missing, sizeof(result.missing), "%s", what);
	answered(w, &result);
	cr_expect_eq(w->timer[TIMER_PROBE], w->now + pause, "%s: %llu us", what,
		     (unsigned long long)(w->timer[TIMER_PROBE] - w->now));
}

Test(loop, asks_again_soon_where_a_start_has_come_on_a_step)
{
	static const char envoy[] = "Envoy (INITIALIZING)", port[] = "port 15001 on IPv4";
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	misses(&w, envoy, 10 * MSEC);
	misses(&w, envoy, 20 * MSEC);
	misses(&w, envoy, 40 * MSEC);
	misses(&w, port, 10 * MSEC);
	misses(&w, port, 20 * MSEC);
	misses(&w, port, 40 * MSEC);
	misses(&w, port, 80 * MSEC);
	for (unsigned n = 0; n < 100; n++)
		misses(&w, port, 100 * MSEC);
	misses(&w, envoy, 10 * MSEC);
	probed(&w, true, true);
	cr_expect(lazy_round(&w));
	world_done(&w);
}

/* What is missing is the proxy's own word: one that was taken over may say another at each round. */
Test(loop, asks_a_proxy_that_goes_to_and_fro_no_more_often_than_any)
{
	struct world w;
	uint64_t begun;

	world_init(&w, &usual);
	turn(&w);
	begun = w.now;
	for (unsigned n = 0; n < 1000; n++) {
		struct probe_result result = { .kuma_dp = true };

		(void)snprintf(result.missing, sizeof(result.missing), "Envoy (%u)", n % 2);
		answered(&w, &result);
		advance(&w, w.timer[TIMER_PROBE] - w.now);
	}
	cr_expect_geq(w.now - begun, 950 * 100 * MSEC);
	world_done(&w);
}
#endif

/* Envoy, or our coredns: what is left is asked now, and not in two seconds. */
Test(loop, does_not_wait_for_answers_of_what_has_ended)
{
	struct world w;

	world_up(&w, &usual);
	advance(&w, SECOND);
	envoy_ends(&w);
	cr_expect(w.probing && !lazy_round(&w));
	probed(&w, false, true);
	cr_expect_eq(w.now, 1001 * SECOND);
	world_done(&w);

	world_up(&w, &usual);
	child_exits(&w, CHILD_CORE_DNS, 1);
	cr_expect(w.probing && !lazy_round(&w));
	world_done(&w);
}
