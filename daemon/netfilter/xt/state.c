/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/state.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/array.h"
#include "common/rules/encode_xt.h"
#include "common/rules/leftovers.h"
#include "common/rules/xt_entry.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/xt/family.h"

void xt_rule_init(enum family family, struct arena *arena, const void *entry, const char *target,
		  struct xt_rule *ret)
{
	size_t len = xt_entry_size(family, entry);
	unsigned char *copy = arena_alloc(arena, len);

	*ret = (struct xt_rule){ .entry = copy, .len = len };
	if (!copy)
		return;
	memcpy(copy, entry, len);
	memcpy(&ret->counters, copy + xt_layouts[family].counters, sizeof(ret->counters));
	xt_entry_normalise(family, copy, target);
}

const char *xt_rule_target(enum family family, const struct xt_rule *rule)
{
	return xt_entry_target(family, rule->entry)->u.user.name;
}

bool xt_rule_equal(const struct xt_rule *a, const struct xt_rule *b)
{
	return a->len == b->len && memcmp(a->entry, b->entry, a->len) == 0;
}

struct builder {
	enum family family;
	struct arena *arena;
	struct xt_chain *chain;
	struct xt_blob blob;
	unsigned inserted; /* so far in this chain */
	struct error *err;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct builder *b = userdata;
	bool appended = rule->position == POSITION_APPEND;
	struct xt_rule encoded;
	int r;

	r = encode_xt(rule, text, b->family, &b->blob, b->err);
	if (r < 0)
		return error_wrap(b->err, r, "chain %s", b->chain->name);
	xt_rule_init(b->family, b->arena, b->blob.data, "", &encoded);
	encoded.appended = appended;
	encoded.excludes = rule->listed && rule->verdict.kind == VERDICT_RETURN;
	if (rule->verdict.kind == VERDICT_REDIRECT || rule->verdict.kind == VERDICT_DNAT)
		encoded.redirects_to = rule->verdict.number;
	encoded.position = b->chain->builtin && !appended ? b->inserted++ : XT_LAST;
	array_push(b->arena, b->chain, encoded);
	return 0;
}

int xt_state_build(const struct xt_table *table, const struct ruleset *rules, struct arena *arena,
		   struct xt_state *ret, struct error *err)
{
	const struct family_rules *family = &rules->family[table->family];
	const struct table_rules *from = &family->table[table->table];
	struct builder b = { .family = table->family, .arena = arena, .err = err };
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
		b.inserted = 0;
		r = chain_visit_placed(chain, on_rule, &b);
	}
	if (r == 0 && arena->failed)
		r = error_sys(err, -ENOMEM, "encode the rules");
	return r;
}

static int cannot_open(enum family family, struct error *err)
{
	int r = xt_errno();

	if (r == -ENOPROTOOPT)
		return error_set(err, r, "kernel module %s is not loaded",
				 xt_families[family].module);
	if (r == -EPERM)
		return error_sys(err, r, "open (CAP_NET_ADMIN and CAP_NET_RAW are needed)");
	return error_sys(err, r, "open");
}

/* One iterator per handle: the names first, then the rules of each. */
static void read_names(const struct xtc_ops *ops, struct xtc_handle *handle, struct arena *arena,
		       struct xt_state *ret)
{
	for (const char *c = ops->first_chain(handle); c; c = ops->next_chain(handle)) {
		struct xt_chain chain = { .builtin = ops->builtin(c, handle) };

		memcpy(chain.name, c, strnlen(c, sizeof(chain.name) - 1));
		array_push(arena, ret, chain);
	}
}

static void read_rules(enum family family, struct xtc_handle *handle, struct arena *arena,
		       struct xt_chain *chain)
{
	const struct xt_family *f = &xt_families[family];

	for (const void *e = f->first_rule(chain->name, handle); e; e = f->next_rule(e, handle)) {
		struct xt_rule rule;

		xt_rule_init(family, arena, e, f->get_target(e, handle), &rule);
		if (arena->failed)
			return;
		rule.position = (unsigned)chain->n;
		array_push(arena, chain, rule);
	}
	chain->total = chain->n;
}

int xt_look(const struct xt_table *table, struct arena *arena, struct xt_look *ret,
	    struct error *err)
{
	const struct xtc_ops *ops = xt_families[table->family].ops;

	*ret = (struct xt_look){ .handle = ops->init(table_name(table->table)) };
	if (!ret->handle)
		return cannot_open(table->family, err);
	read_names(ops, ret->handle, arena, &ret->all);
	for (size_t i = 0; i < ret->all.n && !arena->failed; i++)
		read_rules(table->family, ret->handle, arena, &ret->all.items[i]);
	if (!arena->failed)
		return 0;
	xt_look_close(table, ret);
	return error_sys(err, -ENOMEM, "read");
}

void xt_look_close(const struct xt_table *table, struct xt_look *look)
{
	if (look->handle)
		xt_families[table->family].ops->free(look->handle);
	look->handle = NULL;
}

struct xt_chain *xt_state_find(const struct xt_state *state, const char *chain)
{
	for (size_t i = 0; i < state->n; i++)
		if (strcmp(state->items[i].name, chain) == 0)
			return &state->items[i];
	return NULL;
}

bool xt_state_has_own(const struct xt_state *state, const char *chain)
{
	const struct xt_chain *found = xt_state_find(state, chain);

	return found && !found->builtin;
}

static bool same_rules(const struct xt_chain *a, const struct xt_chain *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (!xt_rule_equal(&a->items[i], &b->items[i]))
			return false;
	return a->n == b->n;
}

/* Whether b has everything of a: chains of ours, and the same rules in each. */
static bool covers(const struct xt_state *b, const struct xt_state *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct xt_chain *x = &a->items[i], *y = xt_state_find(b, x->name);

		if (!y ? !x->builtin || x->n : !same_rules(x, y))
			return false;
	}
	return true;
}

bool xt_state_same(const struct xt_state *a, const struct xt_state *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (strcmp(a->items[i].name, b->items[i].name) != 0 ||
		    !same_rules(&a->items[i], &b->items[i]))
			return false;
	return a->n == b->n;
}

bool xt_state_equal(const struct xt_state *a, const struct xt_state *b)
{
	return covers(a, b) && covers(b, a);
}

bool xt_state_is(const struct xt_state *now, const struct xt_state *want)
{
	if (!xt_state_equal(now, want))
		return false;
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
void xt_digest(const struct xt_rule *rules, size_t n, char ret[static 33])
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
	(void)snprintf(ret, 33, "%016" PRIx64 "%016" PRIx64, htobe64(a), htobe64(b));
}

static void report_builtin(const char *table, const struct xt_chain *chain,
			   struct netfilter_report *report)
{
	bool *own = arena_alloc(&report->arena, chain->total + 1);
	const char *rules;

	if (!own)
		return;
	for (size_t i = 0; i < chain->n; i++)
		own[chain->items[i].position] = true;
	rules = leftovers_rules(&report->arena, chain->name, own, chain->total);
	if (rules)
		array_push(&report->arena, &report->removed,
			   arena_printf(&report->arena, "%s: %s", table, rules));
	if (chain->doubtful)
		array_push(&report->arena, &report->left,
			   arena_printf(&report->arena, LEFTOVERS_DOUBT, table, chain->doubtful));
}

void xt_state_report(const struct xt_table *table, const struct xt_state *now,
		     const struct xt_state *want, struct netfilter_report *report)
{
	const char *name = arena_printf(&report->arena, "%s %s", family_name(table->family),
					table_name(table->table));

	for (size_t i = 0; i < now->n; i++) {
		const struct xt_chain *chain = &now->items[i];

		if (chain->builtin)
			report_builtin(name, chain, report);
		else if (chain->n || !xt_state_find(want, chain->name))
			array_push(&report->arena, &report->removed,
				   arena_printf(&report->arena, "%s: chain %s (%zu rule%s)", name,
						chain->name, chain->n, chain->n == 1 ? "" : "s"));
	}
	for (size_t i = 0; i < now->references.n; i++) {
		const struct xt_reference *ref = &now->references.items[i];

		array_push(&report->arena, &report->left,
			   arena_printf(&report->arena,
					"%s: rule %u of %s jumps to %s, which stays, empty", name,
					ref->number, ref->chain, ref->target));
	}
}
