/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/plan_build.h"

#include <errno.h>

#include "common/plan/planner.h"

static void plan_odds(struct planner *p)
{
	const struct config *config = p->config;
	struct plan *plan = p->plan;

	plan->comments = !config->comments.disabled;
	plan->verbose = config->verbose;
	plan->dry_run = config->dry_run;
	plan->store_firewalld = config->store_firewalld;
	plan->log_enabled = config->log.enabled;
	plan->log_level = config->log.level;
}

static void plan_durations(struct planner *p)
{
	const struct config *config = p->config;
	struct plan *plan = p->plan;

	plan->readiness_timeout_nsec = config->readiness.timeout;
	plan->readiness_interval_nsec = config->readiness.interval;
	plan->hold_nsec = config->failure.hold_rules;
	plan->restart_delay_nsec = config->restart.delay;
	plan->restart_max_delay_nsec = config->restart.max_delay;
}

int plan_build(struct arena *arena, const struct loaded *loaded, const struct facts *facts,
	       enum check_purpose purpose, struct plan *ret, struct diag_list *diags)
{
	struct plan plan = { 0 };
	struct planner p = {
		.arena = arena,
		.loaded = loaded,
		.config = &loaded->config,
		.facts = facts,
		.purpose = purpose,
		.plan = &plan,
		.diags = diags,
	};

	plan_odds(&p);
	plan_user(&p);
	plan_exclusions(&p);
	plan_families(&p);
	if (purpose == CHECK_RUN) {
		plan_durations(&p);
		plan_children(&p);
		plan_ports(&p);
	}
	plan_safety(&p);
	if (purpose == CHECK_RUN)
		plan_firewall(&p);
	if (arena->failed || diags->arena->failed)
		return -ENOMEM;
	*ret = plan;
	return 0;
}
