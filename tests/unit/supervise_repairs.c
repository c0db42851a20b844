/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/repairs.h"

#include <criterion/criterion.h>

#define MSEC   ((uint64_t)1000)
#define SECOND ((uint64_t)1000000)

static const uint64_t start = 1000 * SECOND;

Test(repairs, makes_the_first_at_once)
{
	struct repairs r = { 0 };

	cr_expect_leq(repairs_next(&r), start);
	cr_expect_not(repairs_fight(&r, start));
	cr_expect_eq(repairs_made(&r, start), REPAIR_MADE);
	cr_expect_eq(r.n, 1);
	cr_expect_leq(repairs_next(&r), start + SECOND, "the next one within a second");
	cr_expect_gt(repairs_next(&r), start, "but not at once");
}

/* Somebody undoes every repair as soon as it is made. */
Test(repairs, takes_who_never_stops_for_a_fight_and_waits_longer_and_longer)
{
	struct repairs r = { 0 };
	uint64_t now = start, began = 0, pause, last_pause = 0;
	unsigned early = 0;

	for (int i = 0; i < 100; i++) {
		enum repair_news news = repairs_made(&r, now);

		if (news == REPAIR_FIGHT) {
			cr_expect_eq(began, 0, "it begins once");
			began = now;
		}
		cr_expect_eq(news == REPAIR_MADE, began == 0);
		cr_expect_eq(repairs_fight(&r, now), began != 0);
		early += began == 0;
		pause = repairs_next(&r) - now;
		cr_expect_geq(pause, last_pause);
		cr_expect_leq(pause, 30 * SECOND);
		last_pause = pause;
		now += pause;
	}
	cr_expect_eq(last_pause, 30 * SECOND);
	cr_expect_gt(began, start + 5 * SECOND);
	cr_expect_lt(began, start + 20 * SECOND);
	cr_expect_leq(early, 60);
}

Test(repairs, takes_one_who_comes_every_ten_seconds_for_a_fight)
{
	struct repairs r = { 0 };

	for (uint64_t i = 0; i < 4; i++)
		cr_expect_eq(repairs_made(&r, start + i * 10 * SECOND), REPAIR_MADE);
	cr_expect_eq(repairs_made(&r, start + 40 * SECOND), REPAIR_FIGHT);
	cr_expect_eq(repairs_made(&r, start + 50 * SECOND), REPAIR_AGAIN);
}

Test(repairs, takes_a_few_busy_seconds_for_no_fight)
{
	struct repairs r = { 0 };

	for (uint64_t t = 0; t < 3 * SECOND; t += 250 * MSEC)
		cr_expect_eq(repairs_made(&r, start + t), REPAIR_MADE);
	cr_expect_eq(r.n, 12);
	cr_expect_not(repairs_fight(&r, start + 3 * SECOND));
}

Test(repairs, takes_one_who_comes_now_and_then_for_no_fight)
{
	struct repairs r = { 0 };

	for (uint64_t i = 0; i < 100; i++)
		cr_expect_eq(repairs_made(&r, start + i * 20 * SECOND), REPAIR_MADE, "%lu", i);
}

Test(repairs, forgets_a_fight_after_a_quiet_minute)
{
	struct repairs r = { 0 };
	uint64_t now = start;

	for (int i = 0; i < 60; i++) {
		(void)repairs_made(&r, now);
		now = repairs_next(&r);
	}
	cr_expect(repairs_fight(&r, now));
	now = r.last_usec + 60 * SECOND;
	cr_expect_not(repairs_fight(&r, now));
	cr_expect_leq(repairs_next(&r), now);
	cr_expect_eq(repairs_made(&r, now), REPAIR_MADE);
	cr_expect_eq(r.n, 61, "they are counted all the same");
	cr_expect_leq(repairs_next(&r), now + SECOND);
}
