/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What both halves of the oracle ask the world. */

#include "tests/simulation/world.h"

/* How long a proxy that has ceased to serve may go unnoticed where nobody is told of its end: an
 * answer that is a second old, two seconds to the next round, and two rounds of a second each; the
 * pause between these two is the readiness interval. */
#define UNNOTICED_USEC (5 * SECOND + 50 * MSEC)
/* For others to let go of the lock, in a stop. */
#define PATIENCE_USEC (10 * SECOND)

static inline uint64_t age(const struct world *w, const struct span *span)
{
	if (!span->on)
		return 0;
	return w->now - span->since_usec - (w->stalled_usec - span->stalled_usec);
}

/* How long it may go on before rounds of probes have shown it: longer by each one that counts for
 * nothing, because a process came or went meanwhile. */
static inline uint64_t unnoticed_usec(const struct world *w, const struct span *span)
{
	return UNNOTICED_USEC + w->setup.interval_usec +
	       (w->memory.discarded - span->discarded) * (SECOND + w->setup.interval_usec);
}

static inline bool recently(const struct world *w, uint64_t when_usec, uint64_t usec)
{
	return when_usec != 0 && w->now - when_usec <= usec;
}

/* A round of probes late, or not begun. */
static inline bool asked(const struct world *w)
{
	return !recently(w, w->memory.unasked_usec, 2 * UNNOTICED_USEC);
}

static inline bool runs(const struct world *w)
{
	return w->alive && !w->memory.stopping.on && w->d.carry.situation.wish == WISH_RUN;
}

static inline bool redirects_dns(const struct generation *g)
{
	return g->plan.family[FAMILY_V4].dns;
}

static inline bool expired(const struct world *w)
{
	const struct memory *m = &w->memory;

	return m->reached && !m->confirmed && w->setup.confirm_usec &&
	       w->now >= m->reached_usec + w->setup.confirm_usec;
}
