/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/backoff.h"

uint64_t backoff_next(struct backoff *backoff)
{
	uint64_t pause = backoff->next_usec > 0 ? backoff->next_usec : backoff->delay_usec;

	if (pause > backoff->max_usec)
		pause = backoff->max_usec;
	backoff->next_usec = pause > backoff->max_usec / 2 ? backoff->max_usec : pause * 2;
	return pause;
}

void backoff_reset(struct backoff *backoff)
{
	backoff->next_usec = 0;
}
