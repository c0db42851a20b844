/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For the plan_*.c only: a plan while it is being built. Each plan_*() judges one topic,
 * adds what it has to say and fills its part of the plan. */

#include <stdbool.h>

#include "common/base/diag.h"
#include "common/config/check.h"
#include "common/plan/plan.h"

struct planner {
	struct arena *arena;
	const struct loaded *loaded;
	const struct config *config; /* of loaded */
	const struct facts *facts;
	enum check_purpose purpose;
	struct plan *plan;
	struct diag_list *diags;
};

/* Whom a diagnostic blames: exit 78 or exit 1. */
enum subject {
	ABOUT_CONFIG,
	ABOUT_HOST,
};

/* Adds a diagnostic with the origin of the setting (NULL: about none). */
void planner_say(struct planner *p, enum severity severity, enum subject subject,
		 const char *setting, const char *fmt, ...) _printf_(5, 6);

/* Whether a string setting was given. */
bool planner_has(const char *text);

/* "user 'kuma-dp' (UID 5678)" of the plan. */
const char *planner_user(struct planner *p);

/* What is wrong with a file: the host's sentence, else that it does not exist or cannot be read. */
const char *planner_problem(struct planner *p, const char *path, const struct facts_file *file);

/* Whether kuma-dp is at least that version; a version that is unknown is taken to be recent. */
bool planner_kuma_dp_is(const struct planner *p, unsigned major, unsigned minor);

void plan_user(struct planner *p);
void plan_families(struct planner *p);
void plan_exclusions(struct planner *p);
void plan_children(struct planner *p);
void plan_dns_mode(struct planner *p);
void plan_dataplane(struct planner *p);
void plan_ports(struct planner *p);
void plan_safety(struct planner *p);
void plan_firewall(struct planner *p);
