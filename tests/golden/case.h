/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A golden case (golden.c says what is in its directory) as a plan. */

#include "common/plan/plan.h"
#include "tests/golden/reader.h"

/* Returns whether there is a plan: not after an error, which stands among the diagnostics. */
bool case_build(struct arena *arena, const char *dir, struct golden_case *ret,
		struct plan *ret_plan, struct diag_list *diags);
