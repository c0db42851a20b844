/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/rules/encode_xt.h"
#include "common/rules/leftovers.h"

struct builder {
	const struct xt_family *f;
	enum family family;
	struct arena *arena;
	struct xt_chain *chain;
	struct xt_blob blob;
	unsigned inserted; /* so far in this chain */
	bool appending;    /* the second time over a built-in chain */
	struct error *err;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct builder *b = userdata;
	bool appended = rule->position == POSITION_APPEND;
	struct xt_rule encoded;
	int r;

	if (b->chain->builtin && appended != b->appending)
		return 0;
	r = encode_xt(rule, text, b->family, &b->blob, b->err);
	if (r < 0)
		return error_wrap(b->err, r, "chain %s", b->chain->name);
	xt_rule_init(b->f, b->arena, b->blob.data, "", &encoded);
	encoded.appended = appended;
	encoded.position = b->chain->builtin && !appended ? b->inserted++ : XT_LAST;
	array_push(b->arena, b->chain, encoded);
	return 0;
}

/* In the order of the kernel: what is inserted stands before what is appended, whichever the text
 * states first. */
static int build_chain_rules(const struct chain *chain, struct builder *b)
{
	int r = 0;

	b->inserted = 0;
	b->appending = false;
	if (chain->builtin)
		r = chain_visit(chain, on_rule, b);
	b->appending = true;
	return r ? r : chain_visit(chain, on_rule, b);
}

int xt_state_build(const struct xt_table *table, const struct ruleset *rules, struct arena *arena,
		   struct xt_state *ret, struct error *err)
{
	const struct family_rules *family = &rules->family[table->family];
	const struct table_rules *from = &family->table[table->table];
	struct builder b = { .f = table->f, .family = table->family, .arena = arena, .err = err };
	int r = 0;

	*ret = (struct xt_state){ 0 };
	for (size_t i = 0; family->enabled && i < from->n && r == 0; i++) {
		const struct chain *chain = &from->chains[i];
		struct xt_chain *slot;

		if (strlen(chain->name) >= sizeof(slot->name)) {
			r = error_set(err, -EINVAL, "chain name %s is too long", chain->name);
			break;
		}
		slot = array_grow(arena, &ret->items, &ret->n, sizeof(*ret->items));
		if (!slot)
			break;
		slot->builtin = chain->builtin;
		memcpy(slot->name, chain->name, strlen(chain->name) + 1);
		b.chain = slot;
		r = build_chain_rules(chain, &b);
	}
	xt_blob_done(&b.blob);
	if (r == 0 && arena->failed)
		r = error_sys(err, -ENOMEM, "encode the rules");
	return r;
}

struct xt_chain *xt_state_find(const struct xt_state *state, const char *chain)
{
	for (size_t i = 0; i < state->n; i++)
		if (strcmp(state->items[i].name, chain) == 0)
			return &state->items[i];
	return NULL;
}

bool xt_rule_equal(const struct xt_rule *a, const struct xt_rule *b)
{
	return a->len == b->len && memcmp(a->entry, b->entry, a->len) == 0;
}

/* Whether b has everything of a: chains of ours, and the same rules in each. */
static bool covers(const struct xt_state *b, const struct xt_state *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct xt_chain *x = &a->items[i], *y = xt_state_find(b, x->name);

		if (!y && x->builtin && x->n == 0)
			continue;
		if (!y || x->n != y->n)
			return false;
		for (size_t n = 0; n < x->n; n++)
			if (!xt_rule_equal(&x->items[n], &y->items[n]))
				return false;
	}
	return true;
}

bool xt_state_equal(const struct xt_state *a, const struct xt_state *b)
{
	return covers(a, b) && covers(b, a);
}

bool xt_state_placed(const struct xt_state *now, const struct xt_state *want)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct xt_chain *w = &want->items[i], *c = xt_state_find(now, w->name);

		if (!w->builtin || !c)
			continue;
		for (size_t n = 0; n < w->n && n < c->n; n++) {
			size_t place = w->items[n].appended ? c->total - (w->n - n) : n;

			if (c->items[n].position != place)
				return false;
		}
	}
	return true;
}

size_t xt_state_count(const struct xt_state *state)
{
	size_t n = 0;

	for (size_t i = 0; i < state->n; i++)
		n += state->items[i].n;
	return n;
}

/* Two lanes of multiply and fold, word by word. Told apart have to be the rules of one chain, by
 * those who can write to the kernel's tables anyway: strength is no concern. */
void xt_digest(const struct xt_rule *rules, size_t n, uint8_t ret[static 16])
{
	uint64_t a = 0xcbf29ce484222325, b = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < n; i++) {
		for (size_t at = 0; at < rules[i].len; at += sizeof(uint64_t)) {
			size_t left = rules[i].len - at;
			uint64_t word = 0;

			memcpy(&word, rules[i].entry + at,
			       left < sizeof(word) ? left : sizeof(word));
			a = (a ^ word) * 0x100000001b3U;
			a ^= a >> 32;
			b = (b ^ word) * 0xff51afd7ed558ccdU;
			b ^= b >> 29;
		}
	}
	memcpy(ret, &a, sizeof(a));
	memcpy(ret + sizeof(a), &b, sizeof(b));
}

/* Where a rule stands among those of others is a hint, not a property. */
static bool item_equal(const struct record_item *a, const struct record_item *b)
{
	return a->family == b->family && a->table == b->table && a->is_rule == b->is_rule &&
	       strcmp(a->chain, b->chain) == 0 &&
	       memcmp(a->digest, b->digest, sizeof(a->digest)) == 0;
}

/* The items that a record had at first, by digest; each can be taken once. */
struct claim_index {
	size_t *heads, *next; /* number of an item, counted from 1; 0: no more */
	size_t mask;
};

static void claim_index_done(struct claim_index *index)
{
	free(index->heads);
	free(index->next);
}

static size_t *find_head(const struct claim_index *index, const struct record_item *item)
{
	uint64_t hash;

	memcpy(&hash, item->digest, sizeof(hash));
	return &index->heads[(size_t)(hash ^ hash >> 32) & index->mask];
}

static int claim_index_init(struct claim_index *index, const struct record *record)
{
	size_t size = 1;

	while (size < record->n)
		size *= 2;
	index->mask = size - 1;
	index->heads = calloc(size, sizeof(*index->heads));
	index->next = calloc(size, sizeof(*index->next));
	if (!index->heads || !index->next)
		return -ENOMEM;
	for (size_t i = record->n; i > 0; i--) {
		size_t *head = find_head(index, &record->items[i - 1]);

		index->next[i - 1] = *head;
		*head = i;
	}
	return 0;
}

static bool take_claim(struct claim_index *index, const struct record *record,
		       const struct record_item *item)
{
	size_t *slot = find_head(index, item);

	while (*slot && !item_equal(&record->items[*slot - 1], item))
		slot = &index->next[*slot - 1];
	if (!*slot)
		return false;
	*slot = index->next[*slot - 1];
	return true;
}

static int claim(const struct record_item *item, struct claim_index *index, struct record *record)
{
	return take_claim(index, record, item) ? 0 : record_add(record, item);
}

static int claim_chain(const struct xt_table *table, const struct xt_chain *chain,
		       struct claim_index *index, struct record *record)
{
	struct record_item item = { .family = table->family, .table = table->table };
	int r = 0;

	memcpy(item.chain, chain->name, sizeof(item.chain));
	if (!chain->builtin) {
		xt_digest(chain->items, chain->n, item.digest);
		return claim(&item, index, record);
	}
	item.is_rule = true;
	for (size_t i = 0; i < chain->n && r == 0; i++) {
		item.appended = chain->items[i].appended;
		xt_digest(&chain->items[i], 1, item.digest);
		r = claim(&item, index, record);
	}
	return r;
}

int xt_state_claim(const struct xt_table *table, const struct xt_state *state,
		   struct record *record)
{
	/* Of what is claimed already, one claim for each equal pair is enough. */
	_cleanup_(claim_index_done) struct claim_index index = { 0 };
	int r = claim_index_init(&index, record);

	for (size_t i = 0; i < state->n && r == 0; i++)
		r = claim_chain(table, &state->items[i], &index, record);
	return r;
}

static void report_builtin(const struct xt_table *table, const struct xt_chain *chain,
			   struct netfilter_report *report)
{
	_free_ bool *own = calloc(chain->total + 1, sizeof(*own));
	const char *rules;

	if (!own)
		return;
	if (chain->doubtful)
		array_push(&report->arena, &report->left,
			   arena_printf(&report->arena, "%s " LEFTOVERS_DOUBT, table->f->name,
					table_name(table->table), chain->doubtful));
	for (size_t i = 0; i < chain->n; i++)
		own[chain->items[i].position] = true;
	rules = leftovers_rules(&report->arena, chain->name, own, chain->total);
	if (rules)
		array_push(&report->arena, &report->removed,
			   arena_printf(&report->arena, "%s %s: %s", table->f->name,
					table_name(table->table), rules));
}

void xt_state_report(const struct xt_table *table, const struct xt_state *now,
		     const struct xt_state *want, struct netfilter_report *report)
{
	const char *name = table_name(table->table);

	for (size_t i = 0; i < now->n; i++) {
		const struct xt_chain *chain = &now->items[i];

		if (chain->builtin)
			report_builtin(table, chain, report);
		else if (chain->n || !xt_state_find(want, chain->name))
			array_push(&report->arena, &report->removed,
				   arena_printf(&report->arena, "%s %s: chain %s (%zu rule%s)",
						table->f->name, name, chain->name, chain->n,
						chain->n == 1 ? "" : "s"));
	}
	for (size_t i = 0; i < now->references.n; i++) {
		const struct xt_reference *ref = &now->references.items[i];

		array_push(&report->arena, &report->left,
			   arena_printf(&report->arena,
					"%s %s: rule %u of %s jumps to %s, which stays, empty",
					table->f->name, name, ref->number, ref->chain,
					ref->target));
	}
}
