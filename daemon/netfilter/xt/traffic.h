/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What our rules of nat did with connections, by their counters. */

#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/xt/state.h"

/* Adds the counters of those rules in the kernel (now: what of a table is ours) that are in the
 * ruleset (want: of the same table); the ruleset tells what each is for. */
void xt_add_traffic(const struct xt_state *now, const struct xt_state *want,
		    struct snapshot_traffic *traffic);
