/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules between settings, and for values that the types cannot judge: a table of predicates with
 * the sentence for each. Knows no host: what needs facts is judged in common/plan.
 */

#include "common/config/layers.h"

enum check_purpose {
	CHECK_RUN,     /* the daemon: kumaDP.* needed, dryRun refused */
	CHECK_INSTALL, /* the one-shot form: only kumactl's settings, backend and safety.* count */
};

/* Appends what is wrong or worth a notice. */
void check_config(const struct loaded *loaded, enum check_purpose purpose, struct diag_list *diags);

/* Whether a file could not be read or understood, or a key in it: what it was to say is not known. */
bool check_has_unread(const struct diag_list *diags);
