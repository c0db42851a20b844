/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

struct chain *build_chain(struct build *b, const char *name, bool builtin)
{
	struct chain *chain =
		array_grow(b->arena, &b->table->chains, &b->table->n, sizeof(*b->table->chains));

	if (chain)
		*chain = (struct chain){ .name = name, .builtin = builtin };
	return chain;
}

void chain_append(struct build *b, struct chain *chain, const struct rule *rule)
{
	struct rule *slot;

	if (!chain || rule_count(rule) == 0)
		return;
	slot = array_grow(b->arena, &chain->rules, &chain->n, sizeof(*chain->rules));
	if (!slot)
		return;
	*slot = *rule;
	if (!b->plan->comments)
		slot->comment = NULL;
	b->table->n_rules++;
}

void chain_append_all(struct build *b, struct chain *chain, const struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++)
		chain_append(b, chain, &rules[i]);
}

struct match_net build_localhost(const struct build *b, enum op op)
{
	static const struct match_net localhost[FAMILY_COUNT] = {
		[FAMILY_V4] = {
			.net = { .addr = { FAMILY_V4, { 127, 0, 0, 1 } }, .len = 32 },
			.text = "127.0.0.1/32",
		},
		[FAMILY_V6] = {
			.net = { .addr = { FAMILY_V6, { [15] = 1 } }, .len = 128 },
			.text = "::1/128",
		},
	};
	struct match_net net = localhost[b->family];

	net.op = op;
	return net;
}
