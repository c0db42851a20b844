/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/backoff.h"

uint64_t backoff_next(struct backoff *b, uint32_t random)
{
	uint64_t pause = b->next_usec ? b->next_usec : b->delay_usec;

	if (pause > b->max_usec)
		pause = b->max_usec;
	b->next_usec = pause > UINT64_MAX / 2 ? pause : pause * 2;
	/* In thousandths: no pause is so long that the product could not be counted. */
	return pause - pause / 4000 * (random % 1000);
}

void backoff_reset(struct backoff *b)
{
	b->next_usec = 0;
}
