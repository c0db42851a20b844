/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A table of one family as a value: all that is in it, what of it is ours, or what a ruleset wants
 * there. In the transaction's arena; look at arena->failed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libiptc/libiptc.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/rules/ruleset.h"

struct netfilter_report;

struct xt_table {
	enum family family;
	enum table table;
};

/* An entry, normalised (xt_entry.h), and its counters. */
struct xt_rule {
	unsigned char *entry;
	size_t len;
	struct xt_counters counters;
	unsigned position; /* in a built-in chain: where it stands, or is to be put; XT_LAST */
	bool appended;
	/* what it does, where it comes of a ruleset */
	uint16_t redirects_to; /* port; 0: it does not */
	bool excludes;         /* one of a list that is left alone */
};
#define XT_LAST UINT32_MAX

struct xt_chain {
	xt_chainlabel name;
	bool builtin;
	struct xt_rule *items;
	size_t n;
	size_t total;         /* as read: with those of others */
	const char *doubtful; /* "rules 1, 2 of OUTPUT" that may be kumactl's; NULL: none */
};

/* A rule of somebody else that jumps to one of our chains. */
struct xt_reference {
	xt_chainlabel chain, target;
	unsigned number; /* counted from 1 */
};

struct xt_state {
	struct xt_chain *items; /* ours as read: all built-in chains; to be: those with rules */
	size_t n;
	struct {
		struct xt_reference *items;
		size_t n;
	} references;
};

/* Copies an entry into the arena, normalised; target is its name as libiptc tells it. */
void xt_rule_init(enum family family, struct arena *arena, const void *entry, const char *target,
		  struct xt_rule *ret);
const char *xt_rule_target(enum family family, const struct xt_rule *rule);
bool xt_rule_equal(const struct xt_rule *a, const struct xt_rule *b); /* counters aside */
void xt_digest(const struct xt_rule *rules, size_t n, char ret[static 33]);

/* Encodes what a ruleset wants in a table. */
int xt_state_build(const struct xt_table *table, const struct ruleset *rules, struct arena *arena,
		   struct xt_state *ret, struct error *err) _must_check_;

/* One look at a table in the kernel: everything in it, read once. Whose it is, whether it can become
 * what is wanted and whether it has changed are told from that. */
struct xt_look {
	struct xtc_handle *handle; /* owned; NULL: the table does not exist */
	struct xt_state all;
};

/* Opens and reads the table; opening makes one that does not exist. */
int xt_look(const struct xt_table *table, struct arena *arena, struct xt_look *ret,
	    struct error *err) _must_check_;
/* Gives the handle back; what was read stays as long as the arena. */
void xt_look_close(const struct xt_table *table, struct xt_look *look);

struct xt_chain *xt_state_find(const struct xt_state *state, const char *chain);
bool xt_state_has_own(const struct xt_state *state, const char *chain); /* one that users made */
/* The same rules in the same chains: places among rules of others, empty built-in chains aside. */
bool xt_state_equal(const struct xt_state *a, const struct xt_state *b);
/* The same chains and rules in the same order. */
bool xt_state_same(const struct xt_state *a, const struct xt_state *b);
/* Equal, and all stand where they are wanted. */
bool xt_state_is(const struct xt_state *now, const struct xt_state *want);
size_t xt_state_count(const struct xt_state *state);

/* Says what of ours is in `now`, and what of others keeps a chain that `want` has not. */
void xt_state_report(const struct xt_table *table, const struct xt_state *now,
		     const struct xt_state *want, struct netfilter_report *report);
