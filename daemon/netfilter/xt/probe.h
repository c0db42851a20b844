/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What this host can do through the legacy tables, without making one. */

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/ip.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* For `run` a module that only has to be loaded counts: the unit sees to that. */
int xt_probe(enum check_purpose purpose, struct facts_abilities ret[static FAMILY_COUNT],
	     struct error *err) _must_check_;

/* Whether the table exists and has a chain whose name begins so. Others than root may not know:
 * then it has none. */
int xt_has_chain(enum family family, const char *table, const char *prefix, bool *ret,
		 struct error *err) _must_check_;
