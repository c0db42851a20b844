/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"

struct names {
	struct name {
		xt_chainlabel name;
	} * items;
	size_t n;
};

struct rules {
	struct xt_rule *items;
	size_t n;
};

int xt_open(const struct xt_table *table, struct xtc_handle **ret, struct error *err)
{
	struct xtc_handle *handle = table->f->ops->init(table_name(table->table));
	int r;

	if (handle) {
		*ret = handle;
		return 0;
	}
	r = xt_errno();
	if (r == -ENOPROTOOPT)
		return error_set(err, r, "kernel module %s is not loaded", table->f->module);
	if (r == -EPERM)
		return error_sys(err, r, "open (CAP_NET_ADMIN and CAP_NET_RAW are needed)");
	return error_sys(err, r, "open");
}

/* One iterator per handle: the names first, then the rules of each. */
static void read_names(const struct xt_table *table, struct xtc_handle *handle, struct arena *arena,
		       struct names *ret)
{
	const struct xtc_ops *ops = table->f->ops;

	for (const char *c = ops->first_chain(handle); c; c = ops->next_chain(handle)) {
		struct name name = { 0 };

		memcpy(name.name, c, strnlen(c, sizeof(name.name) - 1));
		array_push(arena, ret, name);
	}
}

static void read_rules(const struct xt_table *table, struct xtc_handle *handle, const char *chain,
		       struct arena *arena, struct rules *ret)
{
	const struct xt_family *f = table->f;
	unsigned position = 0;

	for (const void *e = f->first_rule(chain, handle); e; e = f->next_rule(e, handle)) {
		struct xt_rule rule;

		xt_rule_init(f, arena, e, f->get_target(e, handle), &rule);
		rule.position = position++;
		array_push(arena, ret, rule);
	}
}

/* Whether a chain that users made is worth a closer look. */
static bool may_be_ours(const struct xt_table *table, struct xtc_handle *handle,
			const struct xt_claims *claims, const char *chain)
{
	const void *first = table->f->first_rule(chain, handle);

	if (xt_claims_name(claims, table, chain))
		return true;
	return claims->scope == SCOPE_RECOGNISED &&
	       (mesh_chain(chain) || (first && xt_comment_recognised(table->f, first)));
}

static void read_own_chains(const struct xt_table *table, struct xtc_handle *handle,
			    const struct xt_claims *claims, const struct names *names,
			    struct arena *arena, struct xt_state *ret)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->items[i].name;
		struct xt_chain chain = { 0 };
		struct rules rules = { 0 };

		if (table->f->ops->builtin(name, handle) ||
		    !may_be_ours(table, handle, claims, name))
			continue;
		read_rules(table, handle, name, arena, &rules);
		if (arena->failed)
			return;
		memcpy(chain.name, name, sizeof(chain.name));
		chain.items = rules.items;
		chain.n = rules.n;
		chain.total = rules.n;
		if (xt_owns_chain(claims, table, &chain))
			array_push(arena, ret, chain);
	}
}

static int read_builtin(const struct xt_table *table, struct xtc_handle *handle,
			const struct xt_claims *claims, const char *name, struct arena *arena,
			struct xt_state *state)
{
	struct xt_chain all = { .builtin = true }, ours = { .builtin = true };
	struct rules rules = { 0 };
	_free_ bool *own = NULL;

	read_rules(table, handle, name, arena, &rules);
	own = calloc(rules.n ? rules.n : 1, sizeof(*own));
	if (!own || arena->failed)
		return -ENOMEM;
	memcpy(all.name, name, sizeof(all.name));
	all.items = rules.items;
	all.n = rules.n;
	xt_mark_own(claims, table, state, arena, &all, own);

	ours = all;
	ours.total = rules.n;
	ours.items = NULL;
	ours.n = 0;
	for (size_t i = 0; i < rules.n; i++) {
		/* One behind a rule of others was appended, as far as can be told. */
		rules.items[i].appended = i != ours.n;
		if (own[i])
			array_push(arena, &ours, rules.items[i]);
	}
	array_push(arena, state, ours);
	return 0;
}

static bool is_own_at(const struct xt_chain *chain, unsigned position)
{
	for (size_t i = 0; chain && i < chain->n; i++)
		if (!chain->builtin || chain->items[i].position == position)
			return true;
	return false;
}

static void read_references(const struct xt_table *table, struct xtc_handle *handle,
			    const char *name, struct arena *arena, struct xt_state *state)
{
	const struct xt_family *f = table->f;
	const struct xt_chain *chain = xt_state_find(state, name);
	unsigned position = 0;

	for (const void *e = f->first_rule(name, handle); e; e = f->next_rule(e, handle)) {
		const struct xt_chain *target = xt_state_find(state, f->get_target(e, handle));
		struct xt_reference reference = { .number = ++position };

		if (!target || target->builtin || is_own_at(chain, position - 1))
			continue;
		memcpy(reference.chain, name, sizeof(reference.chain));
		memcpy(reference.target, target->name, sizeof(reference.target));
		array_push(arena, &state->references, reference);
	}
}

int xt_read(const struct xt_table *table, struct xtc_handle *handle, const struct xt_claims *claims,
	    struct arena *arena, struct xt_state *ret, struct error *err)
{
	struct names names = { 0 };
	int r = 0;

	*ret = (struct xt_state){ 0 };
	read_names(table, handle, arena, &names);
	read_own_chains(table, handle, claims, &names, arena, ret);
	for (size_t i = 0; i < names.n && r == 0; i++)
		if (table->f->ops->builtin(names.items[i].name, handle))
			r = read_builtin(table, handle, claims, names.items[i].name, arena, ret);
	for (size_t i = 0; i < names.n && r == 0; i++)
		read_references(table, handle, names.items[i].name, arena, ret);
	if (r == 0 && arena->failed)
		r = -ENOMEM;
	if (r < 0)
		return error_sys(err, r, "read");
	return 0;
}

/* What the whole table is like, counters and policies aside: ours, that of
 * others, and the order. */
void xt_fingerprint(const struct xt_table *table, struct xtc_handle *handle, struct arena *arena,
		    struct xt_fingerprint *ret)
{
	struct {
		struct xt_fingerprint so_far;
		xt_chainlabel name;
		uint8_t pad[3], rules[16];
	} link = { 0 };
	const struct xt_rule whole = { .entry = (unsigned char *)&link, .len = sizeof(link) };
	struct names names = { 0 };

	read_names(table, handle, arena, &names);
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_(arena_done) struct arena chain = { 0 };
		struct rules rules = { 0 };

		memcpy(link.name, names.items[i].name, sizeof(link.name));
		read_rules(table, handle, link.name, &chain, &rules);
		xt_digest(rules.items, rules.n, link.rules);
		xt_digest(&whole, 1, link.so_far.bytes);
		arena->failed = arena->failed || chain.failed;
	}
	*ret = link.so_far;
}

bool xt_wants_chain(const struct xt_state *want, const char *name)
{
	const struct xt_chain *chain = xt_state_find(want, name);

	return chain && !chain->builtin;
}

/* A name that neither is a verdict nor has a payload of its own is a chain's. */
static const char *jump_target(const struct xt_table *table, const struct xt_rule *rule)
{
	static const char *const verdicts[] = { "", "ACCEPT", "DROP", "RETURN", "QUEUE" };
	const struct xt_entry_target *target = xt_target(table->f, rule->entry);

	if (target->u.target_size != XT_ALIGN(sizeof(*target)) + XT_ALIGN(sizeof(int)))
		return NULL;
	for (size_t i = 0; i < ELEMENTS(verdicts); i++)
		if (strcmp(target->u.user.name, verdicts[i]) == 0)
			return NULL;
	return target->u.user.name;
}

static int check_jumps(const struct xt_table *table, struct xtc_handle *handle,
		       const struct xt_state *want, const struct xt_chain *chain, struct error *err)
{
	for (size_t i = 0; i < chain->n; i++) {
		const char *target = jump_target(table, &chain->items[i]);

		/* libiptc would take it for an extension and the kernel say ENOENT. */
		if (target && !xt_wants_chain(want, target) &&
		    !(handle && table->f->ops->is_chain(target, handle)))
			return error_set(err, -ENOENT, "there is no chain %s to jump to", target);
	}
	return 0;
}

int xt_check(const struct xt_table *table, struct xtc_handle *handle, const struct xt_state *now,
	     const struct xt_state *want, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < now->references.n; i++) {
		const struct xt_reference *ref = &now->references.items[i];

		if (!xt_wants_chain(want, ref->target))
			return error_set(err, -EMLINK,
					 "rule %u of chain %s jumps to %s, which has to go: remove "
					 "that rule first",
					 ref->number, ref->chain, ref->target);
	}
	for (size_t i = 0; i < want->n && r == 0; i++) {
		const struct xt_chain *chain = &want->items[i];

		if (!chain->builtin && handle && !xt_state_find(now, chain->name) &&
		    table->f->ops->is_chain(chain->name, handle))
			return error_set(err, -EEXIST, "chain %s exists already and is not ours",
					 chain->name);
		r = check_jumps(table, handle, want, chain, err);
	}
	return r;
}
