/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The redirect of this host as a whole: the backend's rules, the ::6 address that draining inbound
 * IPv6 needs, and the record of both. Used alike by the daemon and by the one-shot verbs.
 */

#include <stdbool.h>

#include "common/base/error.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/record.h"

struct redirect {
	const struct netfilter_backend *backend;
	struct netfilter *nf;
	struct record record;
};

/* Opens the backend and reads the record at record_path (borrowed). Returns 0, NETFILTER_ABSENT
 * with a sentence, or a negative errno. */
int redirect_open(struct redirect *redirect, const struct netfilter_backend *backend,
		  const char *record_path, struct error *err) _must_check_;
void redirect_done(struct redirect *redirect);

/* Makes the rules true: the address first when it is wanted, last when it goes. Returns 0,
 * NETFILTER_BUSY (nothing changed, try again), or a negative errno (old state kept or restored). */
int redirect_apply(struct redirect *redirect, const struct ruleset *rules, enum scope scope,
		   struct error *err) _must_check_;

/* The same, trying again every interval_usec (0: as fits) while the lock is held by others, for at
 * most timeout_usec; then -EBUSY. For one-shot verbs only: it sleeps. */
int redirect_apply_wait(struct redirect *redirect, const struct ruleset *rules, enum scope scope,
			uint64_t timeout_usec, uint64_t interval_usec, struct error *err)
	_must_check_;
