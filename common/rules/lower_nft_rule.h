/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For lower_nft.c and lower_nft_rule.c only: what a rule asks for, and the sets of a table. */

#include "common/rules/lower_nft.h"

struct lower {
	struct arena *arena;
	enum family family;
	enum table table;
	const struct family_rules *rules;
	struct nft_table *ret;
};

/* Sets that stand where a list's element would; NULL: the rule says itself what is asked for. */
struct lower_sets {
	const struct nft_set *of[NFT_FIELD_COUNT];
};

/* The set of these intervals (which are sorted and joined where they are): the one that the table has
 * already, or a new one. NULL once the arena has failed. */
const struct nft_set *lower_set(struct lower *l, enum nft_type type, struct nft_interval *items,
				size_t n);
const struct nft_set *lower_port_set(struct lower *l, const struct port_range *ranges, size_t n);

/* Adds what the rule asks for; of its user whether it is that one, whichever is wanted. */
void lower_matches(struct lower *l, const struct rule *rule, const struct lower_sets *sets,
		   struct nft_rule *ret);

/* Whether no packet is what the rule asks for. */
bool lower_never(const struct rule *rule);

/* The text as a comment can have it. */
const char *lower_comment(struct arena *arena, const char *text);
