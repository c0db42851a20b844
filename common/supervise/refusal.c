/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/refusal.h"

#define SECOND       ((uint64_t)1000 * 1000)
#define REFUSED_USEC (10 * SECOND)

/* Behind the 10 s: the control plane counts from when it has seen the end of the stream, and a try that
 * comes too early costs up to a second. */
#define MARGIN_USEC (SECOND / 50)

/* The first try of the one more start comes so long before they are over. Envoy's second try comes
 * within half a second of it, the third within a second of that: one of them is due when the refusal
 * ends, and a start under load may take a second longer than the one before. */
#define EARLY_USEC (SECOND + SECOND / 5)

/* From when a kuma-dp is told to end until it has, and nothing is left of it: two SIGTERMs, a SIGKILL
 * for one that hears neither, a sweep. */
#define END_USEC (2 * SECOND)

void refusal_crashed(struct refusal *r, uint64_t now_usec)
{
	*r = (struct refusal){ .crash_usec = now_usec };
}

void refusal_ended(struct refusal *r)
{
	r->waits = false;
	if (!r->started)
		r->start_usec = 0;
}

static uint64_t end(const struct refusal *r)
{
	return r->crash_usec + REFUSED_USEC + MARGIN_USEC;
}

uint64_t refusal_shows(struct refusal *r, uint64_t started_usec, uint64_t tried_usec,
		       uint64_t now_usec)
{
	uint64_t lead = tried_usec - started_usec;
	uint64_t try_usec = end(r) - EARLY_USEC;

	if (r->crash_usec == 0 || started_usec < r->crash_usec)
		return 0;
	if (r->started) {
		r->waits = started_usec >= r->start_usec;
		return 0;
	}
	if (r->start_usec)
		return 0;
	/* Another one would hardly be there in time. */
	if (try_usec < now_usec + lead + SECOND) {
		r->waits = true;
		return 0;
	}
	r->start_usec = try_usec - lead;
	return r->start_usec > now_usec + END_USEC ? r->start_usec - END_USEC : now_usec;
}

bool refusal_start_is_timed(const struct refusal *r)
{
	return r->start_usec && !r->started;
}

void refusal_restarts(struct refusal *r)
{
	r->started = true;
}

void refusal_over(struct refusal *r)
{
	*r = (struct refusal){ 0 };
}

uint64_t refusal_until(const struct refusal *r, uint64_t now_usec)
{
	return (r->start_usec || r->waits) && now_usec < end(r) ? end(r) : 0;
}

uint64_t refusal_still_until(const struct refusal *r, uint64_t now_usec)
{
	return r->waits ? refusal_until(r, now_usec) : 0;
}
