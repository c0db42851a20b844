/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One table edited, committed and read back. */

#include "daemon/netfilter/xt/own.h"

struct xt_change {
	const struct xt_table *table;
	const struct xt_proof *proof;         /* as long as the kernel holds the old state */
	const struct xt_proof *proof_touched; /* once a commit may have got through */
	const struct xt_state *want;
	const struct record *wanted; /* lists it */
	struct arena *arena;
};

/* Whether `now`, ours of `all`, can become `want`: says what of others is in the way. */
int xt_change_check(const struct xt_table *table, const struct xt_state *all,
		    const struct xt_state *now, const struct xt_state *want, struct error *err)
	_must_check_;

/* Makes `want` of what is ours, in one commit. look (taken, zero afterwards) and now are what was
 * read already; where look has no handle, the table is looked at first. Returns 0 when it is so,
 * NETFILTER_BUSY when others were faster five times. *ret_touched: a commit may have got through. */
int xt_change(const struct xt_change *change, struct xt_look *look, const struct xt_state *now,
	      bool *ret_touched, struct error *err) _must_check_;
