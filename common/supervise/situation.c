/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/situation.h"

#include <stddef.h>

#include "common/base/attr.h"

#define MISSES_MAX 2 /* rounds in a row that count as down */

static bool dns_answers(const struct situation *s)
{
	return s->dns_serving || !s->dns_redirected;
}

/* Nothing is to be redirected any more: as long as the process lives it serves what is open. A
 * level that is not known may be anything, and is treated as something. */
static enum level draining_level(const struct situation *s)
{
	return s->proxy_alive && s->applied != LEVEL_NONE ? LEVEL_DRAIN : LEVEL_NONE;
}

bool unconfirmed(const struct situation *s)
{
	return s->now_usec >= s->confirm_until_usec;
}

enum level wanted_level(const struct situation *s)
{
	if (s->wish == WISH_STOP)
		return draining_level(s);
	if (!s->served)
		return LEVEL_NONE;
	if (unconfirmed(s))
		return draining_level(s);
	if (s->proxy_serving)
		return dns_answers(s) ? LEVEL_FULL : LEVEL_NO_DNS;
	if (s->hold_until_usec != USEC_NEVER && s->now_usec >= s->hold_until_usec)
		return draining_level(s);
	if (s->applied == LEVEL_FULL && !dns_answers(s) && s->hold_until_usec != USEC_NEVER)
		return LEVEL_NO_DNS;
	return s->applied;
}

bool must_apply(const struct situation *s)
{
	enum level wanted = wanted_level(s);

	if (wanted != s->applied || (s->disturbed && s->now_usec >= s->repair_usec))
		return true;
	return s->wish == WISH_RUN && s->proxy_serving && wanted != LEVEL_NONE &&
	       s->applied_generation != s->generation;
}

static enum phase phase_of_stop(const struct situation *s)
{
	if (wanted_level(s) == LEVEL_DRAIN)
		return PHASE_DRAINING;
	if (s->proxy_alive || s->applied != LEVEL_NONE)
		return PHASE_STOPPING;
	return PHASE_STOPPED;
}

enum phase phase(const struct situation *s)
{
	if (s->wish == WISH_STOP)
		return phase_of_stop(s);
	if (!s->served)
		return PHASE_STARTING;
	/* What is in the kernel tells whether traffic is held, not what should be there. */
	if (!s->proxy_serving)
		return s->applied == LEVEL_NONE || s->applied == LEVEL_DRAIN ? PHASE_RELEASED
									     : PHASE_HOLDING;
	if (s->applied != wanted_level(s) || s->disturbed)
		return PHASE_APPLYING;
	if (unconfirmed(s))
		return PHASE_RELEASED;
	return s->applied == LEVEL_FULL ? PHASE_REDIRECTING : PHASE_DEGRADED;
}

bool start_failed(const struct situation *s)
{
	return s->wish == WISH_RUN && !s->served && s->start_deadline_usec != USEC_NEVER &&
	       s->now_usec >= s->start_deadline_usec;
}

static bool same_answers(const struct situation *a, const struct situation *b)
{
	return wanted_level(a) == wanted_level(b) && phase(a) == phase(b) &&
	       start_failed(a) == start_failed(b);
}

uint64_t next_deadline(const struct situation *s)
{
	const uint64_t all[] = { s->hold_until_usec, s->start_deadline_usec,
				 s->confirm_until_usec };
	uint64_t next = USEC_NEVER;

	for (size_t i = 0; i < ELEMENTS(all); i++) {
		struct situation later = *s;

		later.now_usec = all[i];
		if (all[i] > s->now_usec && all[i] < next && !same_answers(s, &later))
			next = all[i];
	}
	return next;
}

const char *phase_name(enum phase phase)
{
	static const char *const names[] = {
		[PHASE_STARTING] = "starting",       [PHASE_APPLYING] = "applying",
		[PHASE_REDIRECTING] = "redirecting", [PHASE_DEGRADED] = "degraded",
		[PHASE_HOLDING] = "holding",         [PHASE_RELEASED] = "released",
		[PHASE_DRAINING] = "draining",       [PHASE_STOPPING] = "stopping",
		[PHASE_STOPPED] = "stopped",
	};

	return phase < ELEMENTS(names) ? names[phase] : "unknown";
}

static enum proxy_news proxy_is(struct situation *s, bool serving, uint64_t hold_usec,
				uint64_t now_usec)
{
	if (serving == s->proxy_serving)
		return PROXY_AS_BEFORE;
	s->proxy_serving = serving;
	if (serving)
		return PROXY_SERVES;
	s->hold_until_usec = hold_usec > USEC_NEVER - now_usec ? USEC_NEVER : now_usec + hold_usec;
	return PROXY_LOST;
}

bool probe_verdict(const struct situation *s, struct sighting seen, unsigned *misses)
{
	*misses = seen.proxy && seen.dns ? 0 : *misses + 1;
	return !s->served || *misses == 0 || *misses >= MISSES_MAX;
}

enum proxy_news situation_probed(struct situation *s, struct sighting seen, uint64_t hold_usec,
				 uint64_t now_usec)
{
	bool in_full = seen.proxy && seen.dns;

	s->dns_serving = seen.dns;
	if (!s->served && !in_full)
		return PROXY_AS_BEFORE;
	s->served = true;
	return proxy_is(s, seen.proxy, hold_usec, now_usec);
}

bool situation_ended(struct situation *s, bool proxy, uint64_t hold_usec, uint64_t now_usec)
{
	if (proxy)
		(void)proxy_is(s, false, hold_usec, now_usec);
	else
		s->dns_serving = false;
	return s->wish == WISH_RUN;
}
