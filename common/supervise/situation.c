/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/situation.h"

#include <stddef.h>

#include "common/base/attr.h"

#define MISSES_MAX 2 /* rounds in a row that count as down */

/* How long a process that ceased to serve may take to serve again. A host under heavy load, or a
 * debugger, stops one for some seconds; a longer stop is not worth the wait, because a restart takes
 * about as long (the control plane refuses the same node for 10 s). */
#define HANG_USEC ((uint64_t)10 * 1000 * 1000)

/* kuma-dp follows its Envoy within 0.3 s mostly, and was seen to take 5 s. */
#define FOLLOW_USEC ((uint64_t)2 * 1000 * 1000)

/* A restart of kuma-dp for its DNS alone costs a proxy that serves: it comes late, and later still
 * where it has not helped. */
#define DNS_USEC    ((uint64_t)30 * 1000 * 1000)
#define DNS_DOUBLED 6 /* times: up to 32 minutes */

static bool dns_answers(const struct situation *s)
{
	return s->dns_serving || !s->dns_redirected;
}

/* Where that is not known, the one with less of those that may be. */
static enum level level_in(const struct situation *s)
{
	return s->applied == LEVEL_UNKNOWN ? s->least : s->applied;
}

/* Nothing is to be redirected any more: as long as the process lives it serves what is open. A
 * level that is not known may be anything, and is treated as something. */
static enum level draining_level(const struct situation *s)
{
	return s->proxy_alive && s->applied != LEVEL_NONE ? LEVEL_DRAIN : LEVEL_NONE;
}

/* As it is, but what drains needs a process. */
static enum level held_level(const struct situation *s)
{
	enum level level = level_in(s);

	if (level <= LEVEL_DRAIN)
		return draining_level(s);
	if (level == LEVEL_FULL && !dns_answers(s) && s->hold_until_usec != USEC_NEVER)
		return LEVEL_NO_DNS;
	return level;
}

bool unconfirmed(const struct situation *s)
{
	return s->now_usec >= s->confirm_until_usec;
}

enum level wanted_level(const struct situation *s)
{
	if (s->wish == WISH_STOP)
		return s->kept ? level_in(s) : draining_level(s);
	if (!s->served)
		return LEVEL_NONE;
	if (unconfirmed(s))
		return draining_level(s);
	if (s->proxy_serving)
		return dns_answers(s) ? LEVEL_FULL : LEVEL_NO_DNS;
	if (s->hold_until_usec != USEC_NEVER && s->now_usec >= s->hold_until_usec)
		return draining_level(s);
	return held_level(s);
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
	if (s->applied == LEVEL_UNKNOWN)
		return PHASE_APPLYING;
	/* What is in the kernel tells whether traffic is held, not what should be there. */
	if (!s->proxy_serving)
		return s->applied == LEVEL_NONE || s->applied == LEVEL_DRAIN ? PHASE_RELEASED
									     : PHASE_HOLDING;
	if (s->applied != wanted_level(s) || s->disturbed)
		return PHASE_APPLYING;
	if (unconfirmed(s))
		return PHASE_RELEASED;
	return s->applied == LEVEL_FULL && !s->kuma_dp_silent ? PHASE_REDIRECTING : PHASE_DEGRADED;
}

bool proxy_overdue(const struct situation *s)
{
	return s->wish == WISH_RUN && s->now_usec >= s->proxy_by_usec;
}

bool core_dns_overdue(const struct situation *s)
{
	return s->wish == WISH_RUN && s->now_usec >= s->core_dns_by_usec;
}

static bool same_answers(const struct situation *a, const struct situation *b)
{
	return wanted_level(a) == wanted_level(b) && phase(a) == phase(b) &&
	       proxy_overdue(a) == proxy_overdue(b) && core_dns_overdue(a) == core_dns_overdue(b);
}

uint64_t next_deadline(const struct situation *s)
{
	const uint64_t all[] = { s->hold_until_usec, s->proxy_by_usec, s->core_dns_by_usec,
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

static uint64_t after(uint64_t now_usec, uint64_t usec)
{
	return usec > USEC_NEVER - now_usec ? USEC_NEVER : now_usec + usec;
}

static enum proxy_news proxy_is(struct situation *s, bool serving, uint64_t hold_usec,
				uint64_t now_usec)
{
	if (serving == s->proxy_serving)
		return PROXY_AS_BEFORE;
	s->proxy_serving = serving;
	if (serving)
		return PROXY_SERVES;
	s->lost_usec = now_usec;
	s->hold_until_usec = after(now_usec, hold_usec);
	return PROXY_LOST;
}

void situation_hold(struct situation *s, uint64_t hold_usec)
{
	if (s->served && !s->proxy_serving)
		s->hold_until_usec = after(s->lost_usec, hold_usec);
}

bool probe_verdict(const struct situation *s, struct sighting seen, unsigned *misses)
{
	*misses = seen.proxy && seen.dns && seen.kuma_dp ? 0 : *misses + 1;
	return !s->served || *misses == 0 || *misses >= MISSES_MAX;
}

/* When the children are given up, after a round. */
static void set_deadlines(struct situation *s, struct sighting seen, enum proxy_news news,
			  uint64_t now_usec)
{
	bool dns_is_kuma_dps = !s->own_core_dns || seen.core_dns;
	uint64_t grace = seen.kuma_dp ? DNS_USEC << s->dns_failures : HANG_USEC;

	if (seen.core_dns || !s->own_core_dns)
		s->core_dns_by_usec = USEC_NEVER;
	else if (s->core_dns_by_usec == USEC_NEVER)
		s->core_dns_by_usec = after(now_usec, HANG_USEC);

	if (seen.proxy && seen.dns)
		s->dns_failures = 0;
	if (news == PROXY_LOST)
		s->proxy_by_usec = after(now_usec, HANG_USEC);
	else if (seen.proxy && seen.kuma_dp && (seen.dns || !dns_is_kuma_dps))
		s->proxy_by_usec = USEC_NEVER;
	else if (seen.proxy && (news == PROXY_SERVES || after(now_usec, grace) < s->proxy_by_usec))
		s->proxy_by_usec = after(now_usec, grace);
}

enum proxy_news situation_probed(struct situation *s, struct sighting seen, uint64_t hold_usec,
				 uint64_t now_usec)
{
	bool in_full = seen.proxy && seen.dns && seen.kuma_dp;
	enum proxy_news news;

	s->dns_serving = seen.dns;
	s->kuma_dp_silent = seen.proxy && !seen.kuma_dp;
	if (!s->served && !in_full)
		return PROXY_AS_BEFORE;
	s->served = true;
	news = proxy_is(s, seen.proxy, hold_usec, now_usec);
	set_deadlines(s, seen, news, now_usec);
	return news;
}

void situation_not_applied(struct situation *s, enum level wanted)
{
	enum level before = level_in(s);

	s->least = wanted < before ? wanted : before;
	s->applied = LEVEL_UNKNOWN;
}

void situation_inherited(struct situation *s, enum level level, uint64_t now_usec)
{
	s->served = true;
	s->applied = LEVEL_UNKNOWN;
	s->least = level;
	s->lost_usec = now_usec;
}

void situation_started(struct situation *s, enum part part, uint64_t timeout_usec,
		       uint64_t now_usec)
{
	if (part == PART_CORE_DNS)
		s->core_dns_by_usec = after(now_usec, timeout_usec);
	else
		s->proxy_by_usec = after(now_usec, timeout_usec);
}

void situation_ended(struct situation *s, enum part part, uint64_t hold_usec, uint64_t now_usec)
{
	s->dns_serving = false;
	s->kuma_dp_silent = false;
	if (part == PART_CORE_DNS) {
		s->core_dns_by_usec = USEC_NEVER;
		return;
	}
	(void)proxy_is(s, false, hold_usec, now_usec);
	s->proxy_by_usec = part == PART_ENVOY ? after(now_usec, FOLLOW_USEC) : USEC_NEVER;
}

void situation_absent(struct situation *s, uint64_t gap_usec)
{
	s->proxy_by_usec = after(s->proxy_by_usec, gap_usec);
	s->core_dns_by_usec = after(s->core_dns_by_usec, gap_usec);
}

void situation_proxy_by(struct situation *s, uint64_t by_usec)
{
	if (by_usec < s->proxy_by_usec)
		s->proxy_by_usec = by_usec;
}

void situation_given_up(struct situation *s, enum part part)
{
	if (part == PART_CORE_DNS) {
		s->core_dns_by_usec = USEC_NEVER;
		return;
	}
	s->proxy_by_usec = USEC_NEVER;
	if (s->proxy_serving && s->dns_failures < DNS_DOUBLED)
		s->dns_failures++;
}
