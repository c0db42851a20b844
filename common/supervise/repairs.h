/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How soon what others have changed is put right: at once, or nearly so; but where another program
 * keeps changing it, ever later, up to half a minute. A program that works on the rules for a few
 * seconds (a firewall that starts) is no fight, however many changes it makes in them.
 */

#include <stdbool.h>
#include <stdint.h>

#define REPAIR_BOUTS 5 /* of repairs within a minute are a fight */

/* All times are CLOCK_MONOTONIC in microseconds. */
struct repairs {
	unsigned n;                       /* made so far */
	uint64_t last_usec;               /* 0: none was made */
	uint64_t bout_usec[REPAIR_BOUTS]; /* when the last bouts began, the newest first; 0: none */
	uint64_t pause_usec;              /* a fight's, before the next repair; 0: none is on */
};

enum repair_news {
	REPAIR_MADE,
	REPAIR_FIGHT, /* with this one a fight begins */
	REPAIR_AGAIN, /* in a fight */
};

/* The earliest time for the next repair. */
uint64_t repairs_next(const struct repairs *repairs);

/* Whether another program keeps undoing what we do. */
bool repairs_fight(const struct repairs *repairs, uint64_t now_usec);

/* Notes that one was made. */
enum repair_news repairs_made(struct repairs *repairs, uint64_t now_usec);
