/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Makes a plan of a configuration and the facts about the host. */

#include "common/config/check.h"
#include "common/plan/plan.h"

/* Builds the plan. Everything that is refused, warned of or noted goes to diags with the setting's
 * origin; facts' texts are borrowed and must live as long as the plan. Returns 0 (look at
 * diags->n_errors) or -ENOMEM. The parameters are memory, three things to read and two to fill. */
int plan_build(struct arena *arena, const struct loaded *loaded, const struct facts *facts,
	       enum check_purpose purpose, struct plan *ret, struct diag_list *diags) _must_check_;
