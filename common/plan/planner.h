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
	const char *file; /* where what is said stands, instead of where the setting does; NULL */
};

/* How bad it is and whom it blames: exit 78 or exit 1. */
enum blame {
	CONFIG_ERROR = SEVERITY_ERROR,
	CONFIG_WARNING = SEVERITY_WARNING,
	CONFIG_NOTICE = SEVERITY_NOTICE,
	ABOUT_HOST = 4,
	HOST_ERROR = ABOUT_HOST | SEVERITY_ERROR,
	HOST_WARNING = ABOUT_HOST | SEVERITY_WARNING,
	HOST_NOTICE = ABOUT_HOST | SEVERITY_NOTICE,
};

/* Adds a diagnostic with the origin of the setting (NULL: about none). */
void say(struct planner *p, enum blame blame, const char *setting, const char *fmt, ...)
	_printf_(4, 5);

/* Whether kuma-dp is at least that version; a version that is unknown is taken to be recent. */
bool planner_kuma_dp_is(const struct planner *p, unsigned major, unsigned minor);

/* What the plan's backend cannot do. */
const struct facts_abilities *planner_abilities(const struct planner *p, enum family family);

/* Whether Docker's resolver has its chain where that backend's rules meet it. */
bool planner_docker_output(const struct planner *p, enum family family);

/* Whether the plan is only made to be printed. */
bool planner_prints(const struct planner *p);

/* Whether IPv6 is to be redirected, where the backend can. */
bool planner_wants_v6(const struct planner *p);

/* Whether it is an address of this host. */
bool planner_is_own(const struct planner *p, const struct ip_addr *addr);

bool planner_lists(const struct port_list *list, uint16_t port);

/* Whether the settings of that direction leave the port to the redirect. */
bool planner_takes(const struct plan_direction *direction, uint16_t port);

/* Whether the inbound redirect takes connections to the port. */
bool planner_redirects(const struct planner *p, uint16_t port);

void plan_user(struct planner *p);
void plan_backend(struct planner *p);
void plan_families(struct planner *p);
void plan_resolvers(struct planner *p);
void plan_exclusions(struct planner *p);
void plan_children(struct planner *p);
void plan_dns_mode(struct planner *p);
void plan_dataplane(struct planner *p);
void plan_ports(struct planner *p);
void plan_safety(struct planner *p);
void plan_inbound(struct planner *p);
void plan_firewall(struct planner *p);
