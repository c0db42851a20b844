/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Growing pauses between restarts, without a clock: each call doubles the pause up to the limit. */

#include <stdint.h>

struct backoff {
	uint64_t delay_usec, max_usec; /* the first pause and the longest */
	uint64_t next_usec;            /* the pause that comes next; 0: delay_usec */
};

/* The pause before the next start; doubles the one after. */
uint64_t backoff_next(struct backoff *backoff);

/* The child served: the next pause is the first one again. */
void backoff_reset(struct backoff *backoff);
