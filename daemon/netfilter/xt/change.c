/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/change.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "common/rules/xt_entry.h"
#include "daemon/netfilter/xt/family.h"

/* Others that do not take the lock can be faster; not for ever. */
#define ATTEMPTS 5

static int take_out(const struct xt_table *table, struct xtc_handle *handle,
		    const struct xt_state *now, const struct xt_state *want, struct error *err)
{
	const struct xt_family *f = &xt_families[table->family];

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

		if (!chain->builtin && !xt_state_has_own(want, chain->name) &&
		    !f->delete_chain(chain->name, handle))
			return error_sys(err, xt_errno(), "delete chain %s", chain->name);
	}
	return 0;
}

/* Puts a rule into a chain that holds total rules. */
static int put_rule(const struct xt_table *table, struct xtc_handle *handle, const char *chain,
		    const struct xt_rule *rule, size_t total)
{
	const struct xt_family *f = &xt_families[table->family];
	unsigned char *counters = rule->entry + xt_layouts[table->family].counters;
	int r = 0;

	memcpy(counters, &rule->counters, sizeof(rule->counters));
	if (!(rule->position >= total ? f->append(chain, rule->entry, handle)
				      : f->insert(chain, rule->entry, rule->position, handle)))
		r = xt_errno();
	memset(counters, 0, sizeof(rule->counters));
	return r;
}

static int put_in(const struct xt_table *table, struct xtc_handle *handle,
		  const struct xt_state *now, const struct xt_state *want, struct error *err)
{
	const struct xt_family *f = &xt_families[table->family];

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

		for (size_t n = 0; n < chain->n; n++, total++) {
			int r = put_rule(table, handle, chain->name, &chain->items[n], total);

			if (r < 0)
				return error_sys(err, r, "add a rule to chain %s", chain->name);
		}
	}
	return 0;
}

/* Every commit of libiptc would set the counters of the policies to zero. */
static int keep_policies(const struct xt_table *table, struct xtc_handle *handle,
			 const struct xt_state *now, struct error *err)
{
	const struct xtc_ops *ops = xt_families[table->family].ops;

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

/* A name that neither is a verdict nor has a payload of its own is a chain's. (That of REJECT is as
 * long as a verdict.) */
static const char *jump_target(enum family family, const struct xt_rule *rule)
{
	static const char *const verdicts[] = { "", "ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT" };
	const struct xt_entry_target *target = xt_entry_target(family, rule->entry);

	if (target->u.target_size != XT_ALIGN(sizeof(*target)) + XT_ALIGN(sizeof(int)))
		return NULL;
	for (size_t i = 0; i < ELEMENTS(verdicts); i++)
		if (strcmp(target->u.user.name, verdicts[i]) == 0)
			return NULL;
	return target->u.user.name;
}

static int check_chain(enum family family, const struct xt_state *all, const struct xt_state *want,
		       const struct xt_chain *chain, struct error *err)
{
	for (size_t i = 0; i < chain->n; i++) {
		const char *target = jump_target(family, &chain->items[i]);

		/* libiptc would take it for an extension and the kernel say ENOENT. */
		if (target && !xt_state_has_own(want, target) && !xt_state_has_own(all, target))
			return error_set(err, -ENOENT, "there is no chain %s to jump to", target);
	}
	return 0;
}

int xt_change_check(const struct xt_table *table, const struct xt_state *all,
		    const struct xt_state *now, const struct xt_state *want, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < now->references.n; i++) {
		const struct xt_reference *ref = &now->references.items[i];

		if (!xt_state_has_own(want, ref->target))
			return error_set(err, -EMLINK,
					 "rule %u of chain %s jumps to %s, which has to go: remove "
					 "that rule first",
					 ref->number, ref->chain, ref->target);
	}
	for (size_t i = 0; i < want->n && r == 0; i++) {
		const struct xt_chain *chain = &want->items[i];

		if (!chain->builtin && !xt_state_find(now, chain->name) &&
		    xt_state_find(all, chain->name))
			return error_set(err, -EEXIST, "chain %s exists already and is not ours",
					 chain->name);
		r = check_chain(table->family, all, want, chain, err);
	}
	return r;
}

/* What is in the kernel, and of it what is ours. */
static int look_for(const struct xt_change *change, const struct xt_proof *proof,
		    struct xt_look *ret, struct xt_state *ret_now, struct error *err)
{
	int r = xt_look(change->table, change->arena, ret, err);

	if (r == 0)
		xt_own(proof, change->table, &ret->all, change->arena, ret_now);
	return r == 0 && change->arena->failed ? error_sys(err, -ENOMEM, "read") : r;
}

/* What is in the kernel, and of it what is wanted. */
static int read_back(const struct xt_change *change, struct xt_look *ret, struct xt_state *ret_now,
		     struct error *err)
{
	const struct xt_proof proof = { .record = change->wanted, .trusted = true };
	int r = look_for(change, &proof, ret, ret_now, err);

	xt_look_close(change->table, ret);
	return r;
}

/* One try. Returns 0 when it is as wanted, 1 to try again. */
static int attempt(const struct xt_change *change, const struct xt_look *look,
		   const struct xt_state *now, bool *ret_touched, struct error *err)
{
	const struct xt_table *table = change->table;
	const bool touched = *ret_touched;
	struct xt_state after;
	struct xt_look later = { 0 };
	int failure = 0, r;
	bool equal;

	r = xt_change_check(table, &look->all, now, change->want, err);
	if (r == 0)
		r = take_out(table, look->handle, now, change->want, err);
	if (r == 0)
		r = put_in(table, look->handle, now, change->want, err);
	if (r == 0)
		r = keep_policies(table, look->handle, now, err);
	if (r < 0)
		return r;

	if (!xt_families[table->family].ops->commit(look->handle))
		failure = xt_errno();
	if (failure == -EAGAIN)
		return 1; /* somebody else committed, nothing was changed */
	*ret_touched = true;
	r = read_back(change, &later, &after, err);
	if (r < 0)
		return r;
	equal = xt_state_equal(&after, change->want);
	if (!failure)
		return equal ? 0 : 1;
	/* It can also fail after it was done, over the counters. */
	if (xt_state_same(&later.all, &look->all))
		*ret_touched = touched;
	else if (equal)
		return 0;
	return error_sys(err, failure, "commit");
}

int xt_change(const struct xt_change *change, struct xt_look *look, const struct xt_state *now,
	      bool *ret_touched, struct error *err)
{
	struct xt_state current;
	int r = 1;

	*ret_touched = false;
	for (unsigned n = 0; n < ATTEMPTS && r == 1; n++) {
		r = 0;
		if (!look->handle) {
			r = look_for(change, *ret_touched ? change->proof_touched : change->proof,
				     look, &current, err);
			now = &current;
		}
		if (r == 0 && !xt_state_is(now, change->want)) {
			carry_counters(now, change->want);
			r = attempt(change, look, now, ret_touched, err);
		}
		xt_look_close(change->table, look);
	}
	return r == 1 ? NETFILTER_BUSY : r;
}
