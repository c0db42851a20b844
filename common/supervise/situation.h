/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The few facts that change while the daemon runs, what events mean for them, and the questions
 * that are asked about them once per turn of the loop: which level of the redirect is wanted, must
 * anything be applied for it, what phase are we in, when must we look again. Pure and total: every
 * combination of facts has an answer.
 *
 *   wish  proxy                                    DNS                  wanted level
 *   run   never yet served in full                 -                    NONE
 *   run   not confirmed in time, process alive     -                    DRAIN, where anything is in
 *   run   not confirmed in time, otherwise         -                    NONE
 *   run   serving                                  answers, or is not   FULL
 *                                                  redirected
 *   run   serving                                  down                 NO_DNS
 *   run   not serving, hold time left              answers              as it is
 *   run   not serving, hold time left              down                 as it is, but FULL becomes
 *                                                                       NO_DNS unless the hold is
 *                                                                       infinite
 *   run   not serving, hold over, process alive    -                    DRAIN, where anything is in
 *   run   not serving, hold over, otherwise        -                    NONE
 *   stop  another daemon is started after us       -                    as it is
 *         and goes on with what is in
 *   stop  process alive, anything is in            -                    DRAIN
 *   stop  otherwise                                -                    NONE
 *
 * A kuma-dp that was asked to restart counts as serving while its listeners accept; the hold time
 * starts when it is gone. A redirect that nobody has confirmed in time (safety.confirm) is released
 * whatever the proxy does and however long it would be held: the operator may be locked out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/plan/level.h"

#define USEC_NEVER UINT64_MAX

enum wish {
	WISH_RUN,
	WISH_STOP,
};

/* All times are CLOCK_MONOTONIC in microseconds. */
struct situation {
	enum wish wish;
	/* with WISH_STOP: what is in stays, for the daemon that systemd starts after us */
	bool kept;
	/* kuma-dp has a process */
	bool proxy_alive;
	/* its listeners accept and Envoy says ready; written by situation.c alone */
	bool proxy_serving;
	/* the plan redirects DNS in some family */
	bool dns_redirected;
	bool dns_serving;
	/* proxy and DNS have served in full at least once */
	bool served;
	/* what is in the kernel: LEVEL_UNKNOWN at start and after a failed apply; of which generation */
	enum level applied;
	unsigned applied_generation;
	/* while that is not known: the lowest of the level that was in before and those tried since */
	enum level least;
	/* others have changed what is in; to be put right at this time, or with the next change */
	bool disturbed;
	uint64_t repair_usec;
	/* the generation whose rules are wanted */
	unsigned generation;
	/* when a proxy that does not serve is held no longer; USEC_NEVER: held without end */
	uint64_t hold_until_usec;
	/* when it ceased to serve, last */
	uint64_t lost_usec;
	/* when a kuma-dp that does not serve, or whose DNS does not answer, is given up; USEC_NEVER: it
	 * serves, or has no process */
	uint64_t proxy_by_usec;
	/* the same for our own coredns */
	uint64_t core_dns_by_usec;
	/* DNS is answered by a coredns of our own */
	bool own_core_dns;
	/* kuma-dp itself does not answer, while its Envoy serves */
	bool kuma_dp_silent;
	/* kuma-dp was given up for its DNS so often since DNS last answered */
	unsigned dns_failures;
	/* when the redirect is released unless it is confirmed; USEC_NEVER: it was, or need not be */
	uint64_t confirm_until_usec;
	uint64_t now_usec;
};

enum phase {
	PHASE_STARTING,
	PHASE_APPLYING,
	PHASE_REDIRECTING,
	PHASE_DEGRADED,
	PHASE_HOLDING,
	PHASE_RELEASED,
	PHASE_DRAINING,
	PHASE_STOPPING,
	PHASE_STOPPED,
	PHASE_COUNT,
};

/* The questions. */

enum level wanted_level(const struct situation *s);

/* Whether the kernel has to be changed: another level is wanted, what is in was changed by others, or
 * the rules of another generation are in while a proxy serves that the wanted ones fit. While the
 * proxy does not serve, what is in stays that of its generation. */
bool must_apply(const struct situation *s);

enum phase phase(const struct situation *s);

/* Whether the redirect was to be confirmed and was not in time. */
bool unconfirmed(const struct situation *s);

/* Whether kuma-dp, or our own coredns, has had its time: before the first service that fails the
 * start, later the process is treated as if it had crashed. */
bool proxy_overdue(const struct situation *s);
bool core_dns_overdue(const struct situation *s);

/* The next moment at which an answer may change by time alone; USEC_NEVER: none. */
uint64_t next_deadline(const struct situation *s);

/* "starting", "applying", … */
const char *phase_name(enum phase phase);

/* What events mean. */

enum proxy_news {
	PROXY_AS_BEFORE,
	PROXY_SERVES,
	PROXY_LOST,
};

/* What a round of probes has found. */
struct sighting {
	bool proxy;    /* Envoy is ready and listens on every port */
	bool dns;      /* everything asked about DNS has answered */
	bool core_dns; /* the DNS port has, whoever it is that listens there */
	bool kuma_dp;  /* kuma-dp itself has, where it can be asked */
};

/* Whether a round counts. One round without an answer may be a hiccup, two in a row are none; before
 * the first service, and when all is well, each round counts. *misses counts rounds in a row that
 * found something missing. */
bool probe_verdict(const struct situation *s, struct sighting seen, unsigned *misses);

/* Takes over what a round that counts has found. Before the first service proxy and DNS count
 * together: nothing is redirected until both serve. Where the proxy ceases to serve, here and below,
 * the hold time starts: hold_usec, USEC_NEVER for an infinite one. */
enum proxy_news situation_probed(struct situation *s, struct sighting seen, uint64_t hold_usec,
				 uint64_t now_usec);

enum part {
	PART_KUMA_DP,
	PART_ENVOY,
	PART_CORE_DNS, /* our own */
};

/* What the start and the end of a process mean. One that was started is to serve within
 * timeout_usec. Without kuma-dp or Envoy neither the proxy nor DNS serves, and after Envoy's end
 * kuma-dp's follows soon; without our own coredns DNS does not. */
void situation_started(struct situation *s, enum part part, uint64_t timeout_usec,
		       uint64_t now_usec);
void situation_ended(struct situation *s, enum part part, uint64_t hold_usec, uint64_t now_usec);

/* We did not run for so long: the children may not have either, and get that time back. A hold does not:
 * its end is a promise to those whose traffic waits. */
void situation_absent(struct situation *s, uint64_t gap_usec);

/* An apply failed: what it was to change may be as before, or as wanted. */
void situation_not_applied(struct situation *s, enum level wanted);

/* kuma-dp is ended at that time unless it serves before. */
void situation_proxy_by(struct situation *s, uint64_t by_usec);

/* The hold time is another one: it counts from the loss on, also of a proxy that is down already. */
void situation_hold(struct situation *s, uint64_t hold_usec);

/* What a predecessor has put in is in at that level, and its proxy has ended: the hold has begun. */
void situation_inherited(struct situation *s, enum level level, uint64_t now_usec);

/* A process that was overdue is being ended. */
void situation_given_up(struct situation *s, enum part part);
