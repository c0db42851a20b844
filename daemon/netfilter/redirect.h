/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The redirect of this host as a whole: the backend's rules, the ::6 address that draining inbound
 * IPv6 needs, and the record of both. Used alike by the daemon and by the one-shot verbs.
 */

#include "common/base/error.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/record.h"

struct redirect {
	const struct netfilter_backend *backend; /* NULL: none */
	/* BACKEND_COUNT of them, some NULL: what the others have in goes with each change; NULL: none */
	const struct netfilter_backend *const *all;
	struct record record;
	struct netfilter_channel channel;
};

/* Looks for the backend, where there is one, and reads the record at record_path (borrowed). Returns 0, NETFILTER_ABSENT
 * (with the sentence), or a negative errno. */
int redirect_open(struct redirect *redirect, const struct netfilter_backend *backend,
		  const char *record_path, struct error *err) _must_check_;
void redirect_done(struct redirect *redirect);

/* Makes the rules true: the address first when it is wanted, last when it goes. Returns 0 (report,
 * where it is not NULL, is added to), NETFILTER_BUSY (with the sentence; nothing changed, try
 * again), or a negative errno (old state kept or restored). What is left of another backend, or of
 * the address, after the rules went in undoes nothing: then the sentence says so. */
int redirect_apply(struct redirect *redirect, const struct netfilter_wish *wish,
		   struct netfilter_report *report, struct error *err) _must_check_;

/* Whether that would change anything: adds to difference in words what is not so; nothing where all
 * is as it should be. */
int redirect_differs(const struct redirect *redirect, const struct netfilter_wish *wish,
		     struct strbuf *difference, struct error *err) _must_check_;

/* Goes on with what lives as long as a predecessor's descriptor does, which is taken; or takes it out
 * by that, whichever backend it is of. */
void redirect_adopt(struct redirect *redirect, int fd);
int redirect_release(struct redirect *redirect, int fd, struct error *err) _must_check_;

/* How long to try while it is busy. */
struct redirect_patience {
	uint64_t timeout_usec, interval_usec; /* interval 0: as fits */
};

/* The same, trying again while it is busy; then NETFILTER_BUSY. For one-shot verbs only: it
 * sleeps. */
int redirect_apply_wait(struct redirect *redirect, const struct netfilter_wish *wish,
			const struct redirect_patience *patience, struct netfilter_report *report,
			struct error *err) _must_check_;

/* Taking everything out: what the daemon's record lists, or (SCOPE_RECOGNISED) what the records of
 * the daemon and of the one-shot install list and whatever can be recognised, with the records. */
struct redirect_removal {
	const struct netfilter_backend *const *all; /* as in struct redirect */
	const char *record;                         /* the daemon's */
	const char *record_installed;               /* for SCOPE_RECOGNISED */
	enum scope scope;
	bool dry_run;
	struct redirect_patience patience;
};

/* Returns 0 (a host without a backend has nothing of it to remove; one that fails keeps none of the
 * others from being done), NETFILTER_BUSY, or a negative
 * errno. The report is set whatever is returned. */
int redirect_remove(const struct redirect_removal *removal, struct netfilter_report *ret,
		    struct error *err) _must_check_;
