/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <string.h>

#include <linux/netfilter/xt_comment.h>

#include "common/base/cleanup.h"
#include "common/rules/leftovers.h"

bool xt_comment_recognised(const struct xt_family *f, const void *entry)
{
	const struct xt_entry_match *m = NULL;

	while ((m = xt_match(f, entry, m))) {
		const struct xt_comment_info *info = (const void *)m->data;

		if (strcmp(m->u.user.name, "comment") == 0 &&
		    strncmp(info->comment, COMMENT_PREFIX, strlen(COMMENT_PREFIX)) == 0)
			return true;
	}
	return false;
}

static size_t count_comments(const struct xt_family *f, const struct xt_chain *chain)
{
	size_t n = 0;

	for (size_t i = 0; i < chain->n; i++)
		n += xt_comment_recognised(f, chain->items[i].entry);
	return n;
}

static bool item_is_chain(const struct record_item *item, const struct xt_table *table,
			  const char *chain)
{
	return !item->is_rule && item->family == table->family && item->table == table->table &&
	       strcmp(item->chain, chain) == 0;
}

bool xt_claims_name(const struct xt_claims *claims, const struct xt_table *table, const char *chain)
{
	for (size_t i = 0; i < claims->record->n; i++)
		if (item_is_chain(&claims->record->items[i], table, chain))
			return true;
	return false;
}

/* The record alone does not make a chain ours: something in the kernel has to speak for it. */
bool xt_owns_chain(const struct xt_claims *claims, const struct xt_table *table,
		   const struct xt_chain *chain)
{
	size_t comments = count_comments(table->f, chain);
	uint8_t digest[16];

	if (claims->scope == SCOPE_RECOGNISED &&
	    (mesh_chain(chain->name) || (comments && comments == chain->n)))
		return true;
	if (!xt_claims_name(claims, table, chain->name))
		return false;
	if (claims->trusted || mesh_chain(chain->name) || comments)
		return true;

	xt_digest(chain->items, chain->n, digest);
	for (size_t i = 0; i < claims->record->n; i++) {
		const struct record_item *item = &claims->record->items[i];

		if (item_is_chain(item, table, chain->name) &&
		    memcmp(item->digest, digest, sizeof(digest)) == 0)
			return true;
	}
	return false;
}

/* Finds a rule with this digest that is not marked, beginning at *cursor, forwards or backwards. */
static bool mark_one(const uint8_t digests[][16], size_t n, const uint8_t digest[16], size_t step,
		     size_t *cursor, bool *own)
{
	for (size_t k = 0, i = *cursor; k < n; k++, i = (i + step) % n) {
		if (own[i] || memcmp(digests[i], digest, 16) != 0)
			continue;
		own[i] = true;
		*cursor = (i + step) % n;
		return true;
	}
	return false;
}

/* As many as are claimed, no more: an equal rule may be somebody else's. Ours were put before (or
 * appended after) those of others, so the search begins there. Returns whether the record tells all
 * of this chain: it claims rules of it, and all of them are there. */
static bool mark_claimed(const struct xt_claims *claims, const struct xt_table *table,
			 struct arena *arena, const struct xt_chain *chain, bool *own)
{
	_free_ uint8_t(*digests)[16] = calloc(chain->n, sizeof(*digests));
	size_t front = 0, back = chain->n - 1, claimed = 0, found = 0;

	if (!digests) {
		arena->failed = true;
		return false;
	}
	for (size_t i = 0; i < chain->n; i++)
		xt_digest(&chain->items[i], 1, digests[i]);
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < claims->record->n; k++) {
			/* Appended ones from the last to the first. */
			size_t i = pass == 0 ? k : claims->record->n - 1 - k;
			const struct record_item *item = &claims->record->items[i];

			if (!item->is_rule || item->family != table->family ||
			    item->table != table->table || item->appended != (pass == 1) ||
			    strcmp(item->chain, chain->name) != 0)
				continue;
			claimed++;
			found += mark_one(digests, chain->n, item->digest,
					  pass == 0 ? 1 : chain->n - 1, pass == 0 ? &front : &back,
					  own);
		}
	}
	return claimed && found == claimed;
}

static void recognise_builtin(const struct traces *traces, const struct xt_table *table,
			      const struct xt_state *state, struct arena *arena,
			      struct xt_chain *chain, bool *own)
{
	_free_ struct shape *shapes = calloc(chain->n, sizeof(*shapes));
	_free_ bool *doubt = calloc(chain->n, sizeof(*doubt));
	const struct shape_list list = { .items = shapes, .n = chain->n };

	if (!shapes || !doubt) {
		arena->failed = true;
		return;
	}
	for (size_t i = 0; i < chain->n; i++) {
		const char *target = xt_target(table->f, chain->items[i].entry)->u.user.name;
		const struct xt_chain *jumps_to = xt_state_find(state, target);

		xt_shape(table, &chain->items[i], &shapes[i]);
		shapes[i].ours = shapes[i].ours || (jumps_to && !jumps_to->builtin);
	}
	recognise(traces, table->table, chain->name, &list, own);
	recognise_doubts(traces, table->table, chain->name, &list, own, doubt);
	chain->doubtful = leftovers_rules(arena, chain->name, doubt, chain->n);
}

void xt_mark_own(const struct xt_claims *claims, const struct xt_table *table,
		 const struct xt_state *state, struct arena *arena, struct xt_chain *chain,
		 bool *own)
{
	static const struct traces none;
	bool complete;

	if (chain->n == 0)
		return;
	complete = mark_claimed(claims, table, arena, chain, own);
	/* Where the record tells all nothing is guessed. */
	if (claims->scope == SCOPE_RECOGNISED)
		recognise_builtin(complete || !claims->traces ? &none : claims->traces, table,
				  state, arena, chain, own);
}
