/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The few facts that change while the daemon runs, and the three questions that are asked about
 * them after every event: which level of the redirect is wanted, what phase are we in, when must we
 * look again. Pure and total: every combination of facts has an answer.
 *
 *   wish  proxy (5.1)                            DNS                  wanted level
 *   run   never yet served in full               -                    NONE
 *   run   serving                                answers, or not      FULL
 *                                                redirected
 *   run   serving                                down                 NO_DNS
 *   run   not serving, hold time left            answers              as it is
 *   run   not serving, hold time left            down                 as it is, but FULL becomes
 * NO_DNS unless the hold is infinite run   not serving, hold over, process alive  - DRAIN, where
 * anything is applied run   not serving, hold over, otherwise      -                    NONE stop
 * process alive, anything applied        -                    DRAIN stop  otherwise - NONE
 *
 * A kuma-dp that was asked to restart counts as serving while its listeners accept; the hold time
 * starts when it is gone.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/plan/level.h"

#define USEC_NEVER UINT64_MAX

enum wish {
	WISH_RUN,
	WISH_STOP,
};

struct situation {
	enum wish wish;
	bool proxy_alive;    /* kuma-dp has a process */
	bool proxy_serving;  /* its listeners accept and Envoy says ready */
	bool dns_redirected; /* the plan redirects DNS in some family */
	bool dns_serving;
	bool served;        /* proxy and DNS have served in full at least once */
	enum level applied; /* LEVEL_UNKNOWN at start and after a failed apply */
	/* CLOCK_MONOTONIC; USEC_NEVER: infinite; meaningful while not serving */
	uint64_t hold_until_usec;
	uint64_t start_deadline_usec; /* when waiting for the first service is given up */
	uint64_t now_usec;
};

enum phase {
	PHASE_STARTING, /* waiting for the children to serve */
	PHASE_APPLYING, /* they serve, the wanted level is not in yet */
	PHASE_REDIRECTING,
	PHASE_DEGRADED, /* redirecting without DNS */
	PHASE_HOLDING,  /* the proxy does not serve, rules are kept */
	PHASE_RELEASED, /* the proxy does not serve, traffic goes direct */
	PHASE_DRAINING, /* stopping: open connections are served until they end */
	PHASE_STOPPING, /* stopping: nothing is redirected any more */
	PHASE_STOPPED,
	PHASE_COUNT,
};

enum level wanted_level(const struct situation *s);
enum phase phase(const struct situation *s);

/* CLOCK_MONOTONIC time at which the answers change without an event; USEC_NEVER: not by time. */
uint64_t next_deadline(const struct situation *s);

/* Whether the first service did not come in time. */
bool start_failed(const struct situation *s);

/* "starting", "redirecting", … */
const char *phase_name(enum phase phase);
