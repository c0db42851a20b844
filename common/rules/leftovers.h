/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What kumactl has left in the tables that iptables-nft keeps, found in what iptables-nft-save
 * says, and the text for `iptables-nft-restore --noflush` that takes exactly this out: deletes of
 * single rules, and the emptying and deleting of chains that are ours by name. Foreign rules,
 * chains, policies and counters are not in that text.
 */

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/array.h"

struct leftovers {
	struct string_list
		removed;         /* "nat: rules 1, 2 of OUTPUT", "nat: chain KUMA_MESH_... (3)" */
	struct string_list left; /* what had to stay, and why */
	const char *text;        /* NULL: there is nothing to remove */
};

/* Everything in ret lives in the arena; look at arena->failed. */
void leftovers_find(struct arena *arena, const char *save, struct leftovers *ret);

/* Of a table and rules that stay although they may be kumactl's. */
#define LEFTOVERS_DOUBT "%s: %s may be kumactl's, but without a comment nothing proves it"

/* "rules 1, 2, 5-8 of OUTPUT": the positions (from 0) for which own is true; NULL where it is for
 * none. */
const char *leftovers_rules(struct arena *arena, const char *chain, const bool *own, size_t n);
