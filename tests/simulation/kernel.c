/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is in the kernel, as a backend: applies that find the lock taken, that fail and have changed
 * nothing, or fail and have changed everything; others who edit. And the ::6 address with the record
 * on disk, in place of daemon/netfilter/loopback.c and record_save() (the linker's --wrap).
 */

#include <errno.h>

#include "tests/simulation/world.h"

int __wrap_loopback_v6_present(const char *iface, bool *ret, struct error *err);
int __wrap_loopback_v6_missing(const char *iface, bool *ret, struct error *err);
int __wrap_loopback_v6_add(const char *iface, bool *ret_added, struct error *err);
int __wrap_loopback_v6_remove(const char *iface, struct error *err);
int __wrap_record_save(const struct record *record, struct error *err);

bool kernel_redirects(const struct world *w)
{
	return w->kernel.level >= LEVEL_NO_DNS && w->kernel.edit != EDIT_GONE;
}

static void trouble(struct world *w)
{
	w->memory.trouble_usec = w->now;
}

static bool fails(struct world *w)
{
	return w->now < w->kernel.fails_until;
}

static int model_ready(struct error *err)
{
	if (the_world->now >= the_world->kernel.busy_until)
		return 0;
	trouble(the_world);
	return error_set(err, NETFILTER_BUSY, "others hold the lock");
}

static void make_so(struct world *w, const struct ruleset *rules)
{
	w->kernel.level = rules->level;
	w->kernel.rules = rules_number(rules);
	w->kernel.edit = EDIT_NONE;
	w->kernel.sizes++;
}

static int model_apply(const struct netfilter_wish *wish, _unused_ struct record *record,
		       _unused_ struct netfilter_report *report, struct error *err)
{
	struct world *w = the_world;
	struct kernel *k = &w->kernel;
	bool takes = k->refusal == REFUSE_AFTER || (k->refusal == REFUSE_EITHER && chance(w, 50));
	bool failed = fails(w);
	int r = model_ready(err);

	oracle_apply(w, wish->rules->level);
	if (r != 0)
		return r;
	tell(w, "rules: %s (%u)%s", level_name(wish->rules->level), rules_number(wish->rules),
	     !failed ? ""
	     : takes ? ", which fails, but is done"
		     : ", which fails");
	if (!failed || takes)
		make_so(w, wish->rules);
	if (!failed) {
		oracle_applied(w, wish->rules->level);
		return 0;
	}
	trouble(w);
	return error_set(err, -EIO, "the kernel says no");
}

static int model_differs(const struct netfilter_wish *wish, _unused_ const struct record *record,
			 struct strbuf *difference, struct error *err)
{
	struct world *w = the_world;

	if (w->now < w->kernel.blind_until)
		return error_set(err, -EIO, "the kernel does not tell");
	if (wish->rules->level != w->kernel.level)
		fail(w, "holds the rules against level %s, while %s is in",
		     level_name(wish->rules->level), level_name(w->kernel.level));
	if (wish->rules->level != LEVEL_NONE && rules_number(wish->rules) != w->kernel.rules)
		fail(w, "holds the rules against those of %u, while %u is in",
		     rules_number(wish->rules), w->kernel.rules);
	if (w->kernel.edit != EDIT_NONE)
		strbuf_add(difference, "ipv4 nat: rules of ours are gone");
	return 0;
}

static int model_read(const struct ruleset *rules, _unused_ const struct record *record,
		      struct snapshot *ret, struct error *err)
{
	const struct kernel *k = &the_world->kernel;
	bool equal = rules->level == k->level && k->edit == EDIT_NONE &&
		     (rules->level == LEVEL_NONE || rules_number(rules) == k->rules);

	if (the_world->now < k->blind_until)
		return error_set(err, -EIO, "the kernel does not tell");
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		for (enum table t = 0; t < TABLE_COUNT; t++)
			ret->table[f][t] =
				(struct snapshot_table){ .exists = true, .equal = equal };
	return 0;
}

static int model_sizes(_unused_ const struct record *record, uint64_t *ret, struct error *err)
{
	*ret = the_world->kernel.sizes;
	return the_world->now < the_world->kernel.blind_until
		       ? error_set(err, -EIO, "the kernel does not tell")
		       : 0;
}

const struct netfilter_backend model_backend = {
	.name = "model",
	.ready = model_ready,
	.apply = model_apply,
	.read = model_read,
	.differs = model_differs,
	.sizes = model_sizes,
};

int __wrap_loopback_v6_present(_unused_ const char *iface, bool *ret, _unused_ struct error *err)
{
	*ret = the_world->kernel.address;
	return 0;
}

int __wrap_loopback_v6_missing(_unused_ const char *iface, bool *ret, _unused_ struct error *err)
{
	*ret = !the_world->kernel.address;
	return 0;
}

static int change_address(bool there, struct error *err)
{
	struct world *w = the_world;
	bool failed = fails(w);

	/* Where the answer is lost, loopback.c looks: a failure has changed nothing. */
	if (!failed)
		w->kernel.address = there;
	if (!failed)
		return 0;
	trouble(w);
	return error_set(err, -ENOBUFS, "the kernel says no");
}

int __wrap_loopback_v6_add(_unused_ const char *iface, bool *ret_added, struct error *err)
{
	bool before = the_world->kernel.address;

	*ret_added = false;
	if (change_address(true, err) < 0)
		return err->code;
	*ret_added = !before;
	return 0;
}

int __wrap_loopback_v6_remove(_unused_ const char *iface, struct error *err)
{
	return change_address(false, err);
}

int __wrap_record_save(const struct record *record, struct error *err)
{
	struct world *w = the_world;

	if (w->now < w->disk_fails_until) {
		trouble(w);
		return error_set(err, -ENOSPC, "no space");
	}
	w->kernel.address_known = record->address;
	return 0;
}
