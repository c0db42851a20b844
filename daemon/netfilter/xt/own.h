/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which rules and chains of a table are ours.
 *
 * The life of a claim: before the first commit the record is written with an item for each rule in
 * a built-in chain and for each chain of ours, those that will be and those that are (`both`). So a
 * kill at any moment leaves a record that lists everything that may be in the kernel. After the
 * last commit it is written again with the new ones alone (`next`); after an undo with the old.
 * An item does not make a rule ours by itself: it is held against the kernel (a rule is found by
 * its digest, and only as often as it is listed; a chain by its name, and by its comments or its
 * digest). What it does not find it claims in vain, and no harm is done. Chains and rules of
 * kumactl, which has no record, are recognised (common/rules/recognise.h), but only in
 * SCOPE_RECOGNISED.
 */

#include "common/rules/recognise.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/record.h"
#include "daemon/netfilter/xt/state.h"

/* By what it is told. */
struct xt_proof {
	const struct record *record;
	enum scope scope;
	bool trusted;                /* the record was made from this very table just now */
	const struct traces *traces; /* what to recognise rules without comments by; NULL: none */
};

/* What a family's tables tell of kumactl. */
void xt_learn(enum family family, const struct xt_state all[static TABLE_COUNT],
	      struct arena *arena, struct traces *ret);

/* Picks what is ours out of everything that is in a table. */
void xt_own(const struct xt_proof *proof, const struct xt_table *table, const struct xt_state *all,
	    struct arena *arena, struct xt_state *ret);

/* Lists a state in the record. */
void xt_own_record(const struct xt_table *table, const struct xt_state *state,
		   struct record *record);
