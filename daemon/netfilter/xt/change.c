/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"

/* Others that do not take the lock can be faster; not for ever. */
#define ATTEMPTS 5

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

		if (!chain->builtin && !xt_wants_chain(want, chain->name) &&
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
				if (!xt_rule_equal(&old->items[k], rule))
					continue;
				rule->counters = old->items[k].counters;
				next = k + 1;
				break;
			}
		}
	}
}

static bool same(const struct xt_fingerprint *a, const struct xt_fingerprint *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int xt_is_as_before(const struct xt_table *table, const struct xt_outcome *outcome,
		    struct arena *arena, struct error *err)
{
	struct xtc_handle *handle = NULL;
	struct xt_fingerprint now;
	int r = xt_open(table, &handle, err);

	if (r < 0)
		return r;
	xt_fingerprint(table, handle, arena, &now);
	table->f->ops->free(handle);
	return arena->failed ? error_sys(err, -ENOMEM, "read") : same(&now, &outcome->before);
}

/* What is in the kernel, seen by the claims of what should be there; and as a whole, where that is
 * wanted. */
static int read_back(const struct xt_change *change, struct xt_state *ret,
		     struct xt_fingerprint *ret_whole, struct error *err)
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
	if (r == 0 && ret_whole) {
		xt_fingerprint(change->table, handle, change->arena, ret_whole);
		r = change->arena->failed ? error_sys(err, -ENOMEM, "read") : 0;
	}
	if (handle)
		change->table->f->ops->free(handle);
	record_done(&wanted);
	return r;
}

/* One try. Returns 0 when it is as wanted, 1 to try again. */
static int attempt(const struct xt_change *change, struct xtc_handle *handle,
		   const struct xt_state *now, struct xt_outcome *outcome, struct error *err)
{
	const struct xt_table *table = change->table;
	const bool touched = outcome->touched;
	struct xt_fingerprint before, whole;
	struct xt_state after = { 0 };
	int failure = 0, r;
	bool equal;

	xt_fingerprint(table, handle, change->arena, &before);
	if (!touched)
		outcome->before = before;
	r = change->arena->failed ? error_sys(err, -ENOMEM, "read") : 0;
	if (r == 0)
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
	outcome->touched = true;
	r = read_back(change, &after, failure ? &whole : NULL, err);
	if (r < 0)
		return r;
	equal = xt_state_equal(&after, change->want);
	if (!failure)
		return equal ? 0 : 1;
	/* It can also fail after it was done, over the counters. */
	if (same(&whole, &before))
		outcome->touched = touched;
	else if (equal)
		return 0;
	return error_sys(err, failure, "commit");
}

int xt_change(const struct xt_change *change, struct xtc_handle *handle, const struct xt_state *now,
	      struct xt_outcome *ret, struct error *err)
{
	const struct xt_table *table = change->table;
	struct xt_state current;
	int r = 1;

	*ret = (struct xt_outcome){ 0 };
	for (unsigned n = 0; n < ATTEMPTS && r == 1; n++) {
		r = 0;
		if (!handle) {
			r = xt_open(table, &handle, err);
			if (r == 0)
				r = xt_read(table, handle,
					    ret->touched ? change->claims_touched : change->claims,
					    change->arena, &current, err);
			now = &current;
		}
		if (r == 0) {
			carry_counters(now, change->want);
			r = attempt(change, handle, now, ret, err);
		}
		if (handle)
			table->f->ops->free(handle);
		handle = NULL;
	}
	return r == 1 ? NETFILTER_BUSY : r;
}
