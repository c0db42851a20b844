/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

const struct match_net localhost[FAMILY_COUNT] = {
	[FAMILY_V4] = { OP_IS, { { FAMILY_V4, { 127, 0, 0, 1 } }, 32 }, "127.0.0.1/32" },
	[FAMILY_V6] = { OP_IS, { { FAMILY_V6, { [15] = 1 } }, 128 }, "::1/128" },
};

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
}

struct each build_servers(const struct build *b, enum each_kind kind)
{
	return b->plan->dns_capture_all ? (struct each){ 0 } : EACH(kind, b->f->dns_servers);
}
