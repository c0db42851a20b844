/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/plan_build.h"

#include <errno.h>

#include "common/plan/planner.h"

int plan_build(struct arena *arena, const struct loaded *loaded, const struct facts *facts,
	       enum check_purpose purpose, struct plan *ret, struct diag_list *diags)
{
	const struct config *config = &loaded->config;
	struct plan plan = {
		.comments = !config->comments.disabled,
		.verbose = config->verbose,
		.dry_run = config->dry_run,
		.store_firewalld = config->store_firewalld,
		.log_enabled = config->log.enabled,
		.log_level = config->log.level,
		.readiness_timeout_nsec = config->readiness.timeout,
		.readiness_interval_nsec = config->readiness.interval,
		.hold_nsec = config->failure.hold_rules,
		.restart_delay_nsec = config->restart.delay,
		.restart_max_delay_nsec = config->restart.max_delay,
		.confirm_nsec = config->safety.confirm,
	};
	struct planner p = {
		.arena = arena,
		.loaded = loaded,
		.config = config,
		.facts = facts,
		.purpose = purpose,
		.plan = &plan,
		.diags = diags,
	};

	plan_user(&p);
	plan_exclusions(&p);
	plan_backend(&p);
	plan_families(&p);
	if (purpose == CHECK_RUN) {
		plan_children(&p);
		plan_ports(&p);
	}
	plan_safety(&p);
	if (purpose == CHECK_RUN) {
		plan_inbound(&p);
		plan_firewall(&p);
	}
	if (arena->failed || diags->arena->failed)
		return -ENOMEM;
	*ret = plan;
	return 0;
}
