/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel holds, held against what it should hold: backend_xt's answers to questions. */

#include "daemon/netfilter/netfilter.h"

int xt_compare_read(const struct ruleset *rules, const struct record *record, struct snapshot *ret,
		    struct error *err);
int xt_compare_differs(const struct netfilter_wish *wish, const struct record *record,
		       struct strbuf *difference, struct error *err);
int xt_compare_sizes(const struct record *record, uint64_t *ret, struct error *err);
