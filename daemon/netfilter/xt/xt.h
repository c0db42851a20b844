/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * For netfilter_xt*.c (and of the families for host_firewall_xt.c): what one xtables table holds of
 * ours, read from the kernel or built from a ruleset, and how the one becomes the other in a single
 * commit.
 *
 *     netfilter_xt.c         the backend: all tables of both families, the record, undoing
 *     netfilter_xt_table.c   one table: read it, and see what is in the way
 *     netfilter_xt_change.c  one table: edit, commit, look whether it is so
 *     netfilter_xt_own.c     whose a rule or a chain is
 *     netfilter_xt_shape.c   what rules without comments are recognised by
 *     netfilter_xt_state.c   a ruleset as a state, states compared, states as claims
 *     netfilter_xt_family.c  what differs between IPv4 and IPv6
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libiptc/libiptc.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/rules/recognise.h"
#include "common/rules/ruleset.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/record.h"

/* One family of libiptc. Entries differ in the size and the layout of their head only. */
struct xt_family {
	const char *name;
	const char *module;
	const char *names_path; /* lists the tables that exist; is there while the module is */
	const struct xtc_ops *ops;
	size_t head, target_offset, next_offset, counters, comefrom, nfcache;

	const void *(*first_rule)(const char *chain, struct xtc_handle *handle);
	const void *(*next_rule)(const void *entry, struct xtc_handle *handle);
	const char *(*get_target)(const void *entry, struct xtc_handle *handle);
	int (*insert)(const xt_chainlabel chain, const void *entry, unsigned position,
		      struct xtc_handle *handle);
	int (*append)(const xt_chainlabel chain, const void *entry, struct xtc_handle *handle);
	int (*delete_at)(const xt_chainlabel chain, unsigned position, struct xtc_handle *handle);
	int (*delete_chain)(const xt_chainlabel chain, struct xtc_handle *handle);
};

extern const struct xt_family xt_families[FAMILY_COUNT];

/* An entry, normalised: counters zero, jumps and verdicts by name, nothing that the kernel keeps
 * for itself. Equal rules are equal bytes. */
struct xt_rule {
	unsigned char *entry;
	size_t len;
	struct xt_counters counters;
	unsigned position; /* in a built-in chain: where it stands, or is to be put; XT_LAST */
	bool appended;
};
#define XT_LAST UINT32_MAX

struct xt_chain {
	xt_chainlabel name;
	bool builtin;
	struct xt_rule *items; /* ours */
	size_t n;
	size_t total;         /* as read: with those of others */
	const char *doubtful; /* "rules 1, 2 of OUTPUT" that may be kumactl's; NULL: none */
};

/* A rule of somebody else that jumps to one of our chains. */
struct xt_reference {
	xt_chainlabel chain, target;
	unsigned number; /* counted from 1 */
};

/* What is, or should be, ours in a table. */
struct xt_state {
	struct xt_chain *items; /* as read, all built-in chains and ours; to be: those with rules */
	size_t n;
	struct {
		struct xt_reference *items;
		size_t n;
	} references;
};

/* By what we know what is ours. */
struct xt_claims {
	const struct record *record;
	enum scope scope;
	bool trusted;                /* the record was made from this very table just now */
	const struct traces *traces; /* what to recognise rules without comments by; NULL: none */
};

/* One table of one family. */
struct xt_table {
	const struct xt_family *f;
	enum family family;
	enum table table;
};

/* netfilter_xt_family.c */
uint16_t xt_target_offset(const struct xt_family *f, const void *entry);
uint16_t xt_length(const struct xt_family *f, const void *entry);
const struct xt_entry_target *xt_target(const struct xt_family *f, const void *entry);
const struct xt_entry_match *xt_match(const struct xt_family *f, const void *entry,
				      const struct xt_entry_match *previous);
/* Copies an entry into the arena, normalised; target is its name as libiptc tells it. */
void xt_rule_init(const struct xt_family *f, struct arena *arena, const void *entry,
		  const char *target, struct xt_rule *ret);
/* Negative errno of what libiptc has just failed at, never 0. */
int xt_errno(void);

/* netfilter_xt_state.c */
int xt_state_build(const struct xt_table *table, const struct ruleset *rules, struct arena *arena,
		   struct xt_state *ret, struct error *err) _must_check_;
struct xt_chain *xt_state_find(const struct xt_state *state, const char *chain);
bool xt_rule_equal(const struct xt_rule *a, const struct xt_rule *b);    /* counters aside */
bool xt_state_equal(const struct xt_state *a, const struct xt_state *b); /* places aside */
bool xt_state_placed(const struct xt_state *now, const struct xt_state *want);
size_t xt_state_count(const struct xt_state *state);
void xt_digest(const struct xt_rule *rules, size_t n, uint8_t ret[static 16]);
/* Says what of ours is in `now`; what of others keeps a chain that `want` has not. */
void xt_state_report(const struct xt_table *table, const struct xt_state *now,
		     const struct xt_state *want, struct netfilter_report *report);
/* Adds what the state claims to the record, as far as it does not claim as much already. */
int xt_state_claim(const struct xt_table *table, const struct xt_state *state,
		   struct record *record) _must_check_;

/* netfilter_xt_own.c */
bool xt_comment_recognised(const struct xt_family *f, const void *entry);
bool xt_owns_chain(const struct xt_claims *claims, const struct xt_table *table,
		   const struct xt_chain *chain);
bool xt_claims_name(const struct xt_claims *claims, const struct xt_table *table,
		    const char *chain);
/* Tells which rules of a built-in chain (all of them are given) are ours, and in the chain which
 * may be. */
void xt_mark_own(const struct xt_claims *claims, const struct xt_table *table,
		 const struct xt_state *state, struct arena *arena, struct xt_chain *chain,
		 bool *own);

/* netfilter_xt_shape.c */
void xt_shape(const struct xt_table *table, const struct xt_rule *rule, struct shape *ret);
/* Reads what a family's rules tell of kumactl. */
int xt_learn(const struct xt_family *f, enum family family, const bool exists[static TABLE_COUNT],
	     struct arena *arena, struct traces *ret, struct error *err) _must_check_;

/* netfilter_xt_table.c */
int xt_open(const struct xt_table *table, struct xtc_handle **ret, struct error *err) _must_check_;
int xt_read(const struct xt_table *table, struct xtc_handle *handle, const struct xt_claims *claims,
	    struct arena *arena, struct xt_state *ret, struct error *err) _must_check_;
/* Whether `now` can become `want`: says what of others is in the way. */
int xt_check(const struct xt_table *table, struct xtc_handle *handle, const struct xt_state *now,
	     const struct xt_state *want, struct error *err) _must_check_;
bool xt_wants_chain(const struct xt_state *want, const char *name);
/* What a whole table is like, that of others and the order included, counters and policies not.
 * Where memory is short, arena->failed tells. */
struct xt_fingerprint {
	uint8_t bytes[16];
};
void xt_fingerprint(const struct xt_table *table, struct xtc_handle *handle, struct arena *arena,
		    struct xt_fingerprint *ret);

/* netfilter_xt_change.c */
/* Makes `want` of what the claims find, in one commit; handle and now (both or neither) are what
 * was read already; the handle is taken. Returns 0 when it is so, NETFILTER_BUSY when others were
 * faster five times. */
struct xt_change {
	const struct xt_table *table;
	const struct xt_claims *claims;         /* as long as the kernel holds the old state */
	const struct xt_claims *claims_touched; /* once a commit has got through */
	const struct xt_state *want;
	struct arena *arena;
};
struct xt_outcome {
	bool touched; /* a commit may have got through */
	struct xt_fingerprint before;
};
int xt_change(const struct xt_change *change, struct xtc_handle *handle, const struct xt_state *now,
	      struct xt_outcome *ret, struct error *err) _must_check_;
/* Whether the table, also that of others, is what it was before the change: 1 or 0. */
int xt_is_as_before(const struct xt_table *table, const struct xt_outcome *outcome,
		    struct arena *arena, struct error *err) _must_check_;
