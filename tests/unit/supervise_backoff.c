/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/backoff.h"

#include <criterion/criterion.h>

Test(backoff, doubles_up_to_the_longest_and_begins_anew)
{
	static const uint64_t pauses[] = { 250000, 500000, 1000000, 1500000, 1500000 };
	struct backoff b = { .delay_usec = 250000, .max_usec = 1500000 };

	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 5; i++)
			cr_expect_eq(backoff_next(&b, 0), pauses[i]);
		backoff_reset(&b);
	}
}

Test(backoff, takes_off_a_quarter_at_most)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t random = 0; random < 5000; random++) {
		struct backoff b = { .delay_usec = 1000000, .max_usec = 1000000 };
		uint64_t pause = backoff_next(&b, random * 2654435761U);

		least = pause < least ? pause : least;
		most = pause > most ? pause : most;
	}
	cr_expect_geq(least, 750000);
	cr_expect_leq(least, 752000);
	cr_expect_eq(most, 1000000);
}

Test(backoff, counts_whatever_it_is_given)
{
	static const uint64_t odd[] = { 0, 1, 3999, 4000, UINT64_MAX / 2, UINT64_MAX };

	for (unsigned d = 0; d < 6; d++)
		for (unsigned m = 0; m < 6; m++) {
			struct backoff b = { .delay_usec = odd[d], .max_usec = odd[m] };
			uint64_t last = 0;

			for (int i = 0; i < 100; i++) {
				uint64_t pause = backoff_next(&b, 0);

				cr_expect_leq(pause, odd[m]);
				cr_expect_geq(pause, last);
				last = pause;
				cr_expect_leq(
					backoff_next(&(struct backoff){ odd[d], odd[m], pause },
						     UINT32_MAX),
					odd[m]);
			}
		}
}
