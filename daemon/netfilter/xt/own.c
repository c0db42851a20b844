/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/own.h"

#include <string.h>

#include "common/base/array.h"
#include "common/rules/decode_xt.h"
#include "common/rules/leftovers.h"

static bool is_item(const struct record_item *item, enum record_kind kind,
		    const struct xt_table *table, const char *chain)
{
	return item->kind == kind && item->family == table->family && item->table == table->table &&
	       strcmp(item->chain, chain) == 0;
}

/* The record alone does not make a chain ours: something in the kernel has to speak for it. */
static bool owns_chain(const struct xt_proof *proof, const struct xt_table *table,
		       const struct xt_chain *chain)
{
	const struct record *record = proof->record;
	bool listed = false, as_listed = proof->trusted || mesh_chain(chain->name);
	size_t comments = 0;
	struct shape shape;
	char digest[33];

	for (size_t i = 0; i < record->n && !listed; i++)
		listed = is_item(&record->items[i], RECORD_XT_CHAIN, table, chain->name);
	if (proof->scope == SCOPE_RECORDED && (!listed || as_listed))
		return listed;
	for (size_t i = 0; i < chain->n; i++) {
		decode_xt(table->family, chain->items[i].entry, &shape);
		comments += shape.commented;
	}
	if (proof->scope == SCOPE_RECOGNISED &&
	    (mesh_chain(chain->name) || (comments && comments == chain->n)))
		return true;
	if (!listed || as_listed || comments)
		return listed;

	xt_digest(chain->items, chain->n, digest);
	for (size_t i = 0; i < record->n; i++)
		if (is_item(&record->items[i], RECORD_XT_CHAIN, table, chain->name) &&
		    strcmp(record->items[i].digest, digest) == 0)
			return true;
	return false;
}

/* As many as are listed, no more: an equal rule may be somebody else's. Ours were put before (or
 * appended after) those of others, so the search begins there, and goes on behind what was found
 * last. Returns whether the record tells all of this chain: it lists rules of it, and all of them are
 * there. */
static bool mark_recorded(const struct record *record, const struct xt_table *table,
			  const struct xt_chain *chain, const char digests[][33], bool *own)
{
	size_t listed = 0, found = 0, n = chain->n;

	for (size_t pass = 0; pass < 2; pass++) {
		size_t step = pass == 0 ? 1 : n - 1;

		for (size_t k = 0, at = pass == 0 ? 0 : n - 1; k < record->n; k++) {
			/* Appended ones from the last to the first. */
			size_t left = n, i = pass == 0 ? k : record->n - 1 - k;
			const struct record_item *item = &record->items[i];

			if (!is_item(item, RECORD_XT_RULE, table, chain->name) ||
			    item->appended != (pass == 1))
				continue;
			while (left && (own[at] || strcmp(digests[at], item->digest) != 0)) {
				at = (at + step) % n;
				left--;
			}
			listed++;
			found += left != 0;
			own[at] = own[at] || left;
		}
	}
	return listed && found == listed;
}

/* Shapes of a chain's rules; a jump to a chain of ours is ours whatever its name. */
static void read_shapes(enum family family, const struct xt_chain *chain,
			const struct xt_state *ours, struct arena *arena, struct shape_list *ret)
{
	for (size_t i = 0; chain && i < chain->n; i++) {
		struct shape shape;

		decode_xt(family, chain->items[i].entry, &shape);
		if (ours && xt_state_has_own(ours, xt_rule_target(family, &chain->items[i])))
			shape.ours = true;
		array_push(arena, ret, shape);
	}
}

/* What is ours of a table, on its way into ret. */
struct picker {
	const struct xt_proof *proof;
	const struct xt_table *table;
	struct arena *arena;
	struct xt_state *ret;
};

/* NOLINTBEGIN(readability-non-const-parameter): own is written through all. */
static void mark_recognised(const struct picker *p, const struct traces *traces,
			    struct xt_chain *chain, bool *own)
{
	struct shape_list shapes = { 0 };
	const struct recognised all = {
		.table = p->table->table,
		.chain = chain->name,
		.rules = &shapes,
		.own = own,
		.doubt = arena_alloc(p->arena, chain->n),
	};

	read_shapes(p->table->family, chain, p->ret, p->arena, &shapes);
	if (p->arena->failed)
		return;
	recognise(traces, &all);
	chain->doubtful = leftovers_rules(p->arena, chain->name, all.doubt, chain->n);
}
/* NOLINTEND(readability-non-const-parameter) */

static void mark(const struct picker *p, struct xt_chain *chain, bool *own)
{
	static const struct traces none;
	const struct xt_proof *proof = p->proof;
	char(*digests)[33] = arena_alloc(p->arena, chain->n * sizeof(*digests));
	bool complete;

	if (p->arena->failed)
		return;
	for (size_t i = 0; i < chain->n; i++)
		xt_digest(&chain->items[i], 1, digests[i]);
	complete = mark_recorded(proof->record, p->table, chain, (const char(*)[33])digests, own);
	/* Where the record tells all nothing is guessed. */
	if (proof->scope == SCOPE_RECOGNISED)
		mark_recognised(p, complete || !proof->traces ? &none : proof->traces, chain, own);
}

static void pick_builtin(const struct picker *p, const struct xt_chain *all)
{
	struct xt_chain ours = *all;
	bool *own = arena_alloc(p->arena, all->n + 1);

	if (own && all->n)
		mark(p, &ours, own);
	ours.items = NULL;
	ours.n = 0;
	for (size_t i = 0; own && i < all->n && !p->arena->failed; i++) {
		struct xt_rule rule = all->items[i];

		/* One behind a rule of others was appended, as far as can be told. */
		rule.appended = i != ours.n;
		if (own[i])
			array_push(p->arena, &ours, rule);
	}
	array_push(p->arena, p->ret, ours);
}

static bool is_own_at(const struct xt_chain *chain, unsigned position)
{
	for (size_t i = 0; chain && i < chain->n; i++)
		if (!chain->builtin || chain->items[i].position == position)
			return true;
	return false;
}

static void find_references(enum family family, const struct xt_chain *chain, struct arena *arena,
			    struct xt_state *ours)
{
	const struct xt_chain *own = xt_state_find(ours, chain->name);

	for (size_t i = 0; i < chain->n; i++) {
		const char *target = xt_rule_target(family, &chain->items[i]);
		struct xt_reference reference = { .number = (unsigned)i + 1 };

		if (!xt_state_has_own(ours, target) || is_own_at(own, (unsigned)i))
			continue;
		memcpy(reference.chain, chain->name, sizeof(reference.chain));
		memcpy(reference.target, target, strlen(target) + 1);
		array_push(arena, &ours->references, reference);
	}
}

void xt_own(const struct xt_proof *proof, const struct xt_table *table, const struct xt_state *all,
	    struct arena *arena, struct xt_state *ret)
{
	const struct picker p = { proof, table, arena, ret };

	*ret = (struct xt_state){ 0 };
	for (size_t i = 0; i < all->n; i++)
		if (!all->items[i].builtin && owns_chain(proof, table, &all->items[i]))
			array_push(arena, ret, all->items[i]);
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].builtin)
			pick_builtin(&p, &all->items[i]);
	for (size_t i = 0; i < all->n; i++)
		find_references(table->family, &all->items[i], arena, ret);
}

void xt_learn(enum family family, const struct xt_state all[static TABLE_COUNT],
	      struct arena *arena, struct traces *ret)
{
	const struct xt_state *nat = &all[TABLE_NAT], *raw = &all[TABLE_RAW];
	struct shape_list in = { 0 }, out = { 0 }, zones = { 0 };

	*ret = (struct traces){ 0 };
	for (size_t i = 0; i < nat->n; i++) {
		struct shape_list rules = { 0 };

		if (!mesh_chain(nat->items[i].name))
			continue;
		read_shapes(family, &nat->items[i], NULL, arena, &rules);
		traces_learn_chain(ret, &rules);
	}
	read_shapes(family, xt_state_find(raw, "OUTPUT"), NULL, arena, &zones);
	read_shapes(family, xt_state_find(nat, "PREROUTING"), NULL, arena, &in);
	read_shapes(family, xt_state_find(nat, "OUTPUT"), NULL, arena, &out);
	traces_learn_builtin(ret, arena, &zones, &in, &out);
}

void xt_own_record(const struct xt_table *table, const struct xt_state *state,
		   struct record *record)
{
	for (size_t i = 0; i < state->n; i++) {
		const struct xt_chain *chain = &state->items[i];
		struct record_item item = { .family = table->family, .table = table->table };
		/* A chain of ours is listed as a whole. */
		size_t n = chain->builtin ? chain->n : 1, len = chain->builtin ? 1 : chain->n;

		item.kind = chain->builtin ? RECORD_XT_RULE : RECORD_XT_CHAIN;
		memcpy(item.chain, chain->name, sizeof(item.chain));
		for (size_t k = 0; k < n; k++) {
			item.appended = chain->builtin && chain->items[k].appended;
			xt_digest(chain->items + k, len, item.digest);
			array_push(&record->arena, record, item);
		}
	}
}
