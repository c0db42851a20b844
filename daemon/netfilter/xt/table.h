/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One look at a table in the kernel: everything in it, read once. Whose it is, whether it can
 * become what is wanted and whether it has changed are told from that.
 */

#include "daemon/netfilter/xt/state.h"

struct xt_look {
	struct xtc_handle *handle; /* owned; NULL: the table does not exist */
	struct xt_state all;
};

/* Opens and reads the table; opening makes one that does not exist. */
int xt_look(const struct xt_table *table, struct arena *arena, struct xt_look *ret,
	    struct error *err) _must_check_;
/* Gives the handle back; what was read stays as long as the arena. */
void xt_look_close(const struct xt_table *table, struct xt_look *look);
