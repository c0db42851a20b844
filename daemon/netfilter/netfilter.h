/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a netfilter backend can do. `apply` is declarative (make it so): start, reload, repair,
 * hold, release and stop are the same operation with another ruleset, and removing is applying
 * LEVEL_NONE.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/base/array.h"
#include "common/base/error.h"
#include "common/rules/ruleset.h"

struct netfilter;
struct record;

/* Positive answers; negative ones are errors with a sentence. */
enum netfilter_answer {
	NETFILTER_DONE = 0,
	/* others hold the xtables lock or keep committing: nothing was changed, try again */
	NETFILTER_BUSY = 1,
	NETFILTER_ABSENT = 2, /* this host does not have it */
};

/* Whose rules go when new ones come. */
enum scope {
	SCOPE_RECORDED,   /* what the record lists: start, release, stop, uninstall --recorded */
	SCOPE_RECOGNISED, /* kumactl's too: the step to FULL, a plain uninstall */
};

/* One rule of ours as it is in the kernel. */
struct snapshot_rule {
	enum family family;
	enum table table;
	char chain[32];
	bool present;
	uint64_t packets, bytes;
};

struct snapshot_table {
	bool exists;              /* the table is instantiated in this namespace */
	unsigned rules, expected; /* of ours: found; in the ruleset compared with */
	bool equal; /* every rule and chain of ours is there, in order, and no other of ours */
	uint64_t packets, bytes; /* through our rules that redirect */
};

struct snapshot {
	struct snapshot_table table[FAMILY_COUNT][TABLE_COUNT];
	bool loopback_v6; /* ::6 is on the loopback interface */
};

/* What an apply did beyond reaching its ruleset: sentences. */
struct netfilter_report {
	struct arena arena;
	struct string_list removed; /* at LEVEL_NONE: what has gone */
	struct string_list left;    /* at LEVEL_NONE: what could not go, and why; worth a warning */
};

typedef void netfilter_changed_t(void *userdata);

struct netfilter_backend {
	const char *name;
	/* No side effects in the kernel. NETFILTER_ABSENT: not on this host. */
	int (*open)(struct netfilter **ret, struct error *err);
	/* Reaches the ruleset in every family and table, or puts the old state back. (At LEVEL_NONE
	 * a chain that a rule of others jumps to is only emptied.) `record` says
	 * what is ours; it is brought up to date (memory and file): before the first change it
	 * claims the old and the new rules, after the last the new ones alone. ::6 aside
	 * (daemon/netfilter/loopback.h). */
	int (*apply)(struct netfilter *nf, const struct ruleset *rules, enum scope scope,
		     struct record *record, struct error *err);
	/* Makes the report of that apply and changes nothing. */
	int (*survey)(struct netfilter *nf, const struct ruleset *rules, enum scope scope,
		      struct record *record, struct error *err);
	/* Of the last apply or survey; valid until the next. */
	const struct netfilter_report *(*report)(const struct netfilter *nf);
	/* Compares what is in the kernel with the ruleset; never creates a table. */
	int (*read)(struct netfilter *nf, const struct ruleset *rules, const struct record *record,
		    struct snapshot *ret, struct error *err);
	void (*close)(struct netfilter *nf);
};

extern const struct netfilter_backend backend_xt;
