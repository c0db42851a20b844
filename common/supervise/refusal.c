/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/refusal.h"

#define SECOND       ((uint64_t)1000 * 1000)
#define REFUSED_USEC (10 * SECOND)

/* Behind the 10 s: the control plane counts from when it has seen the end of the stream. A try that
 * comes too early is followed by another within half a second, so little is enough. */
#define MARGIN_USEC (SECOND / 20)

/* From when a kuma-dp is told to end until it has, and nothing is left of it: two SIGTERMs, a SIGKILL
 * for one that hears neither, a sweep. */
#define END_USEC (2 * SECOND)

void refusal_crashed(struct refusal *r, uint64_t now_usec)
{
	*r = (struct refusal){ .crash_usec = now_usec };
}

void refusal_ended(struct refusal *r)
{
	if (!r->started)
		r->start_usec = 0;
}

uint64_t refusal_shows(struct refusal *r, uint64_t started_usec, uint64_t tried_usec,
		       uint64_t now_usec)
{
	uint64_t lead = tried_usec - started_usec;
	uint64_t try_usec = r->crash_usec + REFUSED_USEC + MARGIN_USEC;

	if (r->crash_usec == 0 || r->started || r->start_usec || started_usec < r->crash_usec)
		return 0;
	/* Envoy's first tries are half a second apart. */
	if (try_usec < now_usec + lead + SECOND)
		return 0;
	r->start_usec = try_usec - lead;
	return r->start_usec > now_usec + END_USEC ? r->start_usec - END_USEC : now_usec;
}

void refusal_restarts(struct refusal *r)
{
	r->started = true;
}

void refusal_over(struct refusal *r)
{
	*r = (struct refusal){ 0 };
}
