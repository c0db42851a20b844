/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/table.h"

#include <errno.h>
#include <string.h>

#include "common/base/array.h"
#include "daemon/netfilter/xt/family.h"

static int open_table(const struct xt_table *table, struct xtc_handle **ret, struct error *err)
{
	const struct xt_family *f = &xt_families[table->family];
	struct xtc_handle *handle = f->ops->init(table_name(table->table));
	int r;

	if (handle) {
		*ret = handle;
		return 0;
	}
	r = xt_errno();
	if (r == -ENOPROTOOPT)
		return error_set(err, r, "kernel module %s is not loaded", f->module);
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
	struct xt_look look = { 0 };
	int r = open_table(table, &look.handle, err);

	if (r < 0)
		return r;
	read_names(xt_families[table->family].ops, look.handle, arena, &look.all);
	for (size_t i = 0; i < look.all.n && !arena->failed; i++)
		read_rules(table->family, look.handle, arena, &look.all.items[i]);
	*ret = look;
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
