/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/refusal.h"

#include <criterion/criterion.h>

#define MSEC   ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)
#define CRASH  (1000 * SECOND)

static struct refusal crashed(void)
{
	struct refusal r = { 0 };

	refusal_crashed(&r, CRASH);
	return r;
}

/* Its Envoy tries twice, or thrice, before they are over, and a slow start is in time as well. */
Test(refusal, times_the_next_try_a_second_before_the_ten_are_over)
{
	for (uint64_t lead = 100 * MSEC; lead < 3500 * MSEC; lead += 100 * MSEC) {
		struct refusal r = crashed();
		uint64_t started = CRASH + 300 * MSEC, tried = started + lead;
		uint64_t by = refusal_shows(&r, started, tried, tried + 5 * MSEC);

		cr_assert_neq(by, 0, "lead %llu", (unsigned long long)lead);
		cr_expect_geq(r.start_usec + lead, CRASH + 8800 * MSEC);
		cr_expect_leq(r.start_usec + lead, CRASH + 9000 * MSEC);
		cr_expect_eq(refusal_still_until(&r, tried), 0, "it tries by itself");
		/* It has two seconds to end, where there are as many. */
		cr_expect(by == r.start_usec - 2 * SECOND || by == tried + 5 * MSEC);
		cr_expect_leq(by, r.start_usec);
		cr_expect_eq(refusal_shows(&r, started, tried, tried + SECOND), 0, "once");
	}
}

Test(refusal, needs_a_crash_before_the_start)
{
	struct refusal r = { 0 };

	cr_expect_eq(refusal_shows(&r, CRASH, CRASH + SECOND, CRASH + SECOND), 0);
	r = crashed();
	cr_expect_eq(refusal_shows(&r, CRASH - 1, CRASH + SECOND, CRASH + SECOND), 0);
	refusal_over(&r);
	cr_expect_eq(refusal_shows(&r, CRASH + 1, CRASH + SECOND, CRASH + SECOND), 0);
}

Test(refusal, keeps_envoy_still_where_it_is_nearly_over)
{
	struct refusal r = crashed();
	uint64_t tried = CRASH + 9 * SECOND, end = CRASH + 10 * SECOND;

	cr_expect_eq(refusal_until(&r, tried), 0, "it has not shown");
	cr_expect_eq(refusal_shows(&r, CRASH + 8 * SECOND, tried, tried), 0);
	cr_expect_eq(r.start_usec, 0);
	cr_expect_gt(refusal_still_until(&r, tried), end);
	cr_expect_lt(refusal_still_until(&r, tried), end + 100 * MSEC);
	cr_expect_eq(refusal_until(&r, tried), refusal_still_until(&r, tried));
	cr_expect_eq(refusal_still_until(&r, end + 100 * MSEC), 0);
	cr_expect_eq(refusal_until(&r, end + 100 * MSEC), 0);
	/* It ended: the next one has not been refused yet. */
	refusal_ended(&r);
	cr_expect_eq(refusal_still_until(&r, tried), 0);
	/* Much later it is refused for something else. */
	cr_expect_eq(
		refusal_shows(&r, CRASH + 60 * SECOND, CRASH + 61 * SECOND, CRASH + 61 * SECOND),
		0);
	cr_expect_eq(refusal_still_until(&r, CRASH + 61 * SECOND), 0);
}

/* The one that is being ended says so as well. */
Test(refusal, keeps_the_envoy_of_the_timed_start_still)
{
	struct refusal r = crashed();
	uint64_t started = CRASH + 300 * MSEC, late = CRASH + 7 * SECOND;

	cr_expect_neq(refusal_shows(&r, started, started + 500 * MSEC, started + 500 * MSEC), 0);
	cr_expect_gt(refusal_until(&r, late), late);
	refusal_restarts(&r);
	cr_expect_eq(refusal_shows(&r, started, late, late), 0);
	cr_expect_eq(refusal_still_until(&r, late), 0);
	late = r.start_usec + 600 * MSEC;
	cr_expect_eq(refusal_shows(&r, r.start_usec, late, late), 0);
	cr_expect_gt(refusal_still_until(&r, late), CRASH + 10 * SECOND);
	refusal_over(&r);
	cr_expect_eq(refusal_still_until(&r, late), 0);
}

Test(refusal, makes_one_more_start_for_a_crash)
{
	struct refusal r = crashed();

	cr_expect_neq(refusal_shows(&r, CRASH + 1, CRASH + SECOND, CRASH + SECOND), 0);
	refusal_restarts(&r);
	refusal_ended(&r);
	cr_expect_neq(r.start_usec, 0, "it is awaited");
	cr_expect_eq(refusal_shows(&r, CRASH + 2 * SECOND, CRASH + 3 * SECOND, CRASH + 3 * SECOND),
		     0);
	refusal_crashed(&r, CRASH + 20 * SECOND);
	cr_expect_neq(
		refusal_shows(&r, CRASH + 21 * SECOND, CRASH + 22 * SECOND, CRASH + 22 * SECOND),
		0);
	/* It ended by itself before its time: the next one is seen to anew. */
	refusal_ended(&r);
	cr_expect_eq(r.start_usec, 0);
	cr_expect_neq(
		refusal_shows(&r, CRASH + 22 * SECOND, CRASH + 23 * SECOND, CRASH + 23 * SECOND),
		0);
}
