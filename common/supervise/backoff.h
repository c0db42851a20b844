/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How long to wait before a process that has ended is started again. */

#include <stdint.h>

struct backoff {
	/* Settings: the first pause, doubled each time, and the longest one. */
	uint64_t delay_usec, max_usec;
	uint64_t next_usec; /* the next pause; 0: the first one */
};

/* The pause, of which up to a quarter is taken off by chance (random: any number), so that hosts
 * which have lost their proxies together do not come back to the control plane together. */
uint64_t backoff_next(struct backoff *b, uint32_t random);

/* After it has served for some time the first pause comes next. */
void backoff_reset(struct backoff *b);
