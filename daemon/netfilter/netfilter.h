/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a netfilter backend can do. `apply` is declarative (make it so): start, reload, repair,
 * hold, release and stop are the same operation with another ruleset, and removing is applying
 * LEVEL_NONE. How rules get into the kernel, what is waited for and by what a backend knows its own
 * again (its items in the record) is its own business.
 */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/array.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/config/check.h"
#include "common/plan/facts.h"
#include "common/rules/ruleset.h"

struct record;

/* Positive answers come with a sentence, as errors do. */
enum netfilter_answer {
	NETFILTER_DONE = 0,
	NETFILTER_BUSY = 1,   /* others are at it: nothing was changed, try again */
	NETFILTER_ABSENT = 2, /* this host does not have it */
};

/* Whose rules go when new ones come. */
enum scope {
	SCOPE_RECORDED,   /* what the record lists: start, release, stop, uninstall --recorded */
	SCOPE_RECOGNISED, /* kumactl's too: the step to FULL, a plain uninstall */
};

/* What a backend keeps open from one change to the next, of whoever makes them. */
struct netfilter_channel {
	int fd; /* -EBADF: nothing yet */
	uint32_t seq;
	bool owned; /* what is put in goes with the descriptor, where the kernel can do that */
	/* What the last change has left, and when: while nothing has changed since it is not read again. */
	uint32_t generation; /* of nf_tables; 0: not known */
	size_t rules[FAMILY_COUNT];
};

/* What is to be so. */
struct netfilter_wish {
	const struct ruleset *rules;
	enum scope scope;
	bool dry_run; /* only the report is made */
	/* This process has written the record: what it lists by name is ours, whatever is in it. */
	bool trusted;
	struct netfilter_channel *channel; /* NULL: one for this change alone */
};

struct snapshot_table {
	bool exists;              /* the table is instantiated in this namespace */
	unsigned rules, expected; /* of ours: found; in the ruleset compared with */
	bool equal; /* every rule and chain of ours is there, in order, and no other of ours */
	uint64_t packets, bytes; /* through our rules that redirect */
};

/* What our rules did with connections and DNS queries since they went in, in both families. The
 * counters are the first packets', as far as the rules in the kernel are those of the ruleset. */
struct snapshot_traffic {
	struct {
		uint16_t port; /* that they were redirected to */
		uint64_t n;
	} redirected[4]; /* port 0: no more */
	uint64_t
		excluded; /* left alone, because a list of exclusions (or of SSH's ports) says so */
};

struct snapshot {
	struct snapshot_table table[FAMILY_COUNT][TABLE_COUNT];
	struct snapshot_traffic traffic;
};

/* What went or would go at LEVEL_NONE: sentences. */
struct netfilter_report {
	struct arena arena;
	struct string_list removed; /* what has gone */
	struct string_list left;    /* what could not go, and why; worth a warning */
};

static inline void netfilter_report_done(struct netfilter_report *report)
{
	arena_done(&report->arena);
}

struct netfilter_backend {
	const char *name;
	unsigned kinds; /* of items in the record that are its own, a bit each */
	bool in_tables; /* it works in nf_tables, whose every transaction is told of */
	bool owns;      /* what it puts in lives as long as any copy of the channel's descriptor */

	/* What this host can do through it for the family: its own abilities, and docker_output. No side
	 * effects in the kernel. */
	int (*probe)(enum check_purpose purpose, enum family family, struct facts_family *ret,
		     struct error *err);

	/* Adds what a dry run prints: the rules as the backend's own tool takes them. */
	void (*print)(const struct ruleset *rules, struct strbuf *out);

	/* What the kernel thinks of the rules in both families: 0, they could go in now; NETFILTER_ABSENT,
	 * this process may not ask; else why not. Nothing changes. NULL: it cannot be asked. */
	int (*validate)(const struct ruleset *rules, struct error *err);

	/* As root, before a daemon that may do less: makes what it will need. */
	int (*prepare)(struct error *err);

	/* Whether this host has it: 0, or NETFILTER_ABSENT. No side effects in the kernel. */
	int (*find)(struct error *err);

	/* Whether apply could begin now: 0, or NETFILTER_BUSY. */
	int (*ready)(struct error *err);

	/* Adds "; and who it is" to what apply or validate has said when it found others there; it takes
	 * long. NULL: nobody can tell. */
	void (*whose)(struct strbuf *out);

	/* Reaches the ruleset in every family and table, or puts the old state back. (At LEVEL_NONE
	 * a chain that a rule of others jumps to is only emptied.) The record is brought up to date
	 * (memory and file): before the first change it lists the old and the new rules, after the
	 * last the new ones alone. report, where it is not NULL, is added to. */
	int (*apply)(const struct netfilter_wish *wish, struct record *record,
		     struct netfilter_report *report, struct error *err);

	/* Compares what is in the kernel with the ruleset; never creates a table. */
	int (*read)(const struct ruleset *rules, const struct record *record, struct snapshot *ret,
		    struct error *err);

	/* Whether apply would change anything, as far as what is ours goes: adds in words what is not
	 * as it would be, or nothing. It never creates a table, and takes no lock. */
	int (*differs)(const struct netfilter_wish *wish, const struct record *record,
		       struct strbuf *difference, struct error *err);

	/* A number that changes with the rules of the tables that the record tells of: a look that costs
	 * next to nothing. In tables that are large it misses a rule that replaces another. */
	int (*sizes)(const struct record *record, uint64_t *ret, struct error *err);
};
