/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter_xt.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"

/* Others that do not take the lock can be faster; not for ever. */
#define ATTEMPTS 5

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
	       (recognise_name(chain) || (first && xt_comment_recognised(table->f, first)));
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

static bool wants_chain(const struct xt_state *want, const char *name)
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
		if (target && !wants_chain(want, target) &&
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

		if (!wants_chain(want, ref->target))
			return error_set(err, -EBUSY,
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

static int take_out(const struct xt_table *table, struct xtc_handle *handle,
		    const struct xt_state *now, const struct xt_state *want, struct error *err)
{
	const struct xt_family *f = table->f;

	for (size_t i = 0; i < now->n; i++) {
		const struct xt_chain *chain = &now->items[i];

		if (!chain->builtin && !f->ops->flush_entries(chain->name, handle))
			return error_sys(err, xt_errno(), "flush chain %s", chain->name);
		for (size_t n = chain->builtin ? chain->n : 0; n > 0; n--)
			if (!f->delete_at(chain->name, chain->items[n - 1].position, handle))
				return error_sys(err, xt_errno(), "delete rule %u of chain %s",
						 chain->items[n - 1].position + 1, chain->name);
	}
	/* Only now does none of our chains refer to another. */
	for (size_t i = 0; i < now->n; i++) {
		const struct xt_chain *chain = &now->items[i];

		if (!chain->builtin && !wants_chain(want, chain->name) &&
		    !f->delete_chain(chain->name, handle))
			return error_sys(err, xt_errno(), "delete chain %s", chain->name);
	}
	return 0;
}

static int put_rule(const struct xt_table *table, struct xtc_handle *handle,
		    const struct xt_chain *chain, const struct xt_rule *rule, size_t *total,
		    struct error *err)
{
	const struct xt_family *f = table->f;
	bool last = !chain->builtin || rule->position >= *total;
	int ok;

	memcpy(rule->entry + f->counters, &rule->counters, sizeof(rule->counters));
	ok = last ? f->append(chain->name, rule->entry, handle)
		  : f->insert(chain->name, rule->entry, rule->position, handle);
	if (!ok) {
		int r = xt_errno();

		memset(rule->entry + f->counters, 0, sizeof(rule->counters));
		return error_sys(err, r, "add a rule to chain %s", chain->name);
	}
	memset(rule->entry + f->counters, 0, sizeof(rule->counters));
	(*total)++;
	return 0;
}

static int put_in(const struct xt_table *table, struct xtc_handle *handle,
		  const struct xt_state *now, const struct xt_state *want, struct error *err)
{
	const struct xt_family *f = table->f;

	for (size_t i = 0; i < want->n; i++) {
		const struct xt_chain *chain = &want->items[i];

		if (!chain->builtin && !f->ops->is_chain(chain->name, handle) &&
		    !f->ops->create_chain(chain->name, handle))
			return error_sys(err, xt_errno(), "create chain %s", chain->name);
	}
	for (size_t i = 0; i < want->n; i++) {
		const struct xt_chain *chain = &want->items[i],
				      *old = xt_state_find(now, chain->name);
		size_t total = old && old->builtin ? old->total - old->n : 0;

		for (size_t n = 0; n < chain->n; n++) {
			int r = put_rule(table, handle, chain, &chain->items[n], &total, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Every commit of libiptc would set the counters of the policies to zero. */
static int keep_policies(const struct xt_table *table, struct xtc_handle *handle,
			 const struct xt_state *now, struct error *err)
{
	const struct xtc_ops *ops = table->f->ops;

	for (size_t i = 0; i < now->n; i++) {
		const struct xt_chain *chain = &now->items[i];
		struct xt_counters counters;
		xt_chainlabel policy = { 0 };
		const char *name;

		if (!chain->builtin)
			continue;
		name = ops->get_policy(chain->name, &counters, handle);
		if (!name)
			return error_sys(err, xt_errno(), "policy of chain %s", chain->name);
		memcpy(policy, name, strnlen(name, sizeof(policy) - 1));
		if (!ops->set_policy(chain->name, policy, &counters, handle))
			return error_sys(err, xt_errno(), "policy of chain %s", chain->name);
	}
	return 0;
}

/* A rule that stays goes on counting. Both lists are mostly in the same order. */
static void carry_counters(const struct xt_state *now, const struct xt_state *want)
{
	for (size_t i = 0; i < want->n; i++) {
		const struct xt_chain *chain = &want->items[i],
				      *old = xt_state_find(now, chain->name);
		size_t next = 0;

		for (size_t n = 0; old && n < chain->n; n++) {
			struct xt_rule *rule = &chain->items[n];
			size_t limit = next + 32 < old->n ? next + 32 : old->n;

			for (size_t k = next; k < limit; k++) {
				if (old->items[k].len != rule->len ||
				    memcmp(old->items[k].entry, rule->entry, rule->len) != 0)
					continue;
				rule->counters = old->items[k].counters;
				next = k + 1;
				break;
			}
		}
	}
}

/* Whether nothing but ours was changed in number. */
static bool totals_fit(const struct xt_state *before, const struct xt_state *after)
{
	for (size_t i = 0; i < after->n; i++) {
		const struct xt_chain *a = &after->items[i], *b = xt_state_find(before, a->name);

		if (a->builtin && b && a->total - a->n != b->total - b->n)
			return false;
	}
	return true;
}

/* What is in the kernel, seen by the claims of what should be there. */
static int read_back(const struct xt_change *change, struct xt_state *ret, struct error *err)
{
	struct record wanted = { 0 };
	struct xt_claims claims = { .record = &wanted, .scope = SCOPE_RECORDED, .trusted = true };
	struct xtc_handle *handle = NULL;
	int r = xt_state_claim(change->table, change->want, &wanted);

	if (r < 0)
		r = error_sys(err, r, "read back");
	if (r == 0)
		r = xt_open(change->table, &handle, err);
	if (r == 0)
		r = xt_read(change->table, handle, &claims, change->arena, ret, err);
	if (handle)
		change->table->f->ops->free(handle);
	record_done(&wanted);
	return r;
}

/* One try. Returns 0 when it is as wanted, 1 to try again. */
static int attempt(const struct xt_change *change, struct xtc_handle *handle,
		   const struct xt_state *now, bool *ret_touched, struct error *err)
{
	const struct xt_table *table = change->table;
	struct xt_state after = { 0 };
	int failure = 0, r;

	r = xt_check(table, handle, now, change->want, err);
	if (r == 0)
		r = take_out(table, handle, now, change->want, err);
	if (r == 0)
		r = put_in(table, handle, now, change->want, err);
	if (r == 0)
		r = keep_policies(table, handle, now, err);
	if (r < 0)
		return r;

	if (!table->f->ops->commit(handle))
		failure = xt_errno();
	if (failure == -EAGAIN)
		return 1; /* somebody else committed, nothing was changed */
	*ret_touched = *ret_touched || !failure;
	r = read_back(change, &after, err);
	if (r < 0)
		return r;
	/* A commit can also fail after it was done, over the counters. */
	if (xt_state_equal(&after, change->want) && (!failure || totals_fit(now, &after))) {
		*ret_touched = true;
		return 0;
	}
	return failure ? error_sys(err, failure, "commit") : 1;
}

int xt_change(const struct xt_change *change, struct xtc_handle *handle, const struct xt_state *now,
	      bool *ret_touched, struct error *err)
{
	const struct xt_table *table = change->table;
	struct xt_state current;
	int r = 1;

	*ret_touched = false;
	for (unsigned n = 0; n < ATTEMPTS && r == 1; n++) {
		r = 0;
		if (!handle) {
			r = xt_open(table, &handle, err);
			if (r == 0)
				r = xt_read(table, handle,
					    *ret_touched ? change->claims_touched : change->claims,
					    change->arena, &current, err);
			now = &current;
		}
		if (r == 0) {
			carry_counters(now, change->want);
			r = attempt(change, handle, now, ret_touched, err);
		}
		if (handle)
			table->f->ops->free(handle);
		handle = NULL;
	}
	return r == 1 ? NETFILTER_BUSY : r;
}
