/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/backoff.h"

#include <criterion/criterion.h>

Test(backoff, doubles_from_the_first_pause_to_the_longest)
{
	static const uint64_t expected[] = { 250, 500, 1000, 2000, 2999, 2999, 2999 };
	struct backoff backoff = { .delay_usec = 250, .max_usec = 2999 };

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		cr_expect_eq(backoff_next(&backoff), expected[i], "pause %zu", i);
}

Test(backoff, starts_over_after_a_reset)
{
	struct backoff backoff = { .delay_usec = 100, .max_usec = 1000 };

	(void)backoff_next(&backoff);
	(void)backoff_next(&backoff);
	backoff_reset(&backoff);
	cr_expect_eq(backoff_next(&backoff), 100);
	cr_expect_eq(backoff_next(&backoff), 200);
}

Test(backoff, never_exceeds_a_limit_below_the_first_pause)
{
	struct backoff backoff = { .delay_usec = 500, .max_usec = 100 };

	cr_expect_eq(backoff_next(&backoff), 100);
	cr_expect_eq(backoff_next(&backoff), 100);
}

Test(backoff, stays_zero_where_no_pause_is_wanted)
{
	struct backoff backoff = { .delay_usec = 0, .max_usec = 1000 };

	for (int i = 0; i < 5; i++)
		cr_expect_eq(backoff_next(&backoff), 0);
}

Test(backoff, does_not_overflow_near_the_largest_number)
{
	struct backoff backoff = { .delay_usec = UINT64_MAX / 2 + 1, .max_usec = UINT64_MAX };

	cr_expect_eq(backoff_next(&backoff), UINT64_MAX / 2 + 1);
	cr_expect_eq(backoff_next(&backoff), UINT64_MAX);
	cr_expect_eq(backoff_next(&backoff), UINT64_MAX);
}
