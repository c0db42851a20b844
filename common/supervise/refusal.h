/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Kuma's control plane refuses a proxy whose last stream has just broken: for 10 s
 * (KUMA_XDS_DATAPLANE_DEREGISTRATION_DELAY) "there is already an active stream from this node". A
 * kuma-dp that is started again at once is refused, and Envoy's own tries come at growing, random
 * distances. When the refusal shows, one more start is timed so that its first try comes a second
 * before the 10 s are over. That one is refused too: then its Envoy is kept still (SIGSTOP) until they
 * are, and its next try, which is due by then, comes at once.
 */

#include <stdbool.h>
#include <stdint.h>

struct refusal {
	uint64_t
		crash_usec; /* when the stream of a proxy broke; 0: none did since one has served */
	uint64_t start_usec; /* when the one more start is due; 0: none is */
	bool started;        /* it was made: there is one for a crash */
	bool waits;          /* the Envoy that runs was refused, and there is no further start */
};

/* A proxy that had a stream has ended, or one that had none. */
void refusal_crashed(struct refusal *r, uint64_t now_usec);
void refusal_ended(struct refusal *r);

/* A try of a kuma-dp that was started at started_usec was refused at tried_usec; the first one counts.
 * Returns when that kuma-dp has to be ended, or 0: it is not, because it waits as well as another one
 * would, or because a start has not helped. */
uint64_t refusal_shows(struct refusal *r, uint64_t started_usec, uint64_t tried_usec,
		       uint64_t now_usec);

/* Whether the one more start is due and not made yet. */
bool refusal_start_is_timed(const struct refusal *r);

/* The kuma-dp is being ended for it. */
void refusal_restarts(struct refusal *r);

/* A proxy serves. */
void refusal_over(struct refusal *r);

/* When the control plane takes the proxy again, if it has refused one and that is still to come; else
 * 0. Until when Envoy is kept still, or 0. */
uint64_t refusal_until(const struct refusal *r, uint64_t now_usec);
uint64_t refusal_still_until(const struct refusal *r, uint64_t now_usec);
