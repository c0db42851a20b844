/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

#include "common/base/parse.h"
#include "common/plan/new_user.h"

#define SETTING "kumaDPUser"

/* Nobody is called so and nobody has that UID. `prepare` makes the user where it can, so that
 * `check` before the first start finds nothing wrong. */
static void missing(struct planner *p, const char *asked)
{
	struct new_user user;
	struct error err;

	if (!p->config->user.create && !new_user_is_number(asked))
		say(p, HOST_ERROR, SETTING, "user '%s' does not exist, and user.create is false",
		    *asked ? asked : KUMA_DP_USER);
	else if (new_user_judge(asked, p->facts->uid_5678_name, &user, &err) < 0)
		say(p, HOST_ERROR, SETTING, "%s", err.text);
	else if (!p->config->user.create)
		say(p, HOST_ERROR, SETTING, "user '%s' does not exist, and user.create is false",
		    user.name);
	else
		say(p, HOST_NOTICE, SETTING,
		    "user '%s' does not exist yet: `tproxyd prepare` creates it", user.name);
}

static void plan_user_for_run(struct planner *p, const char *asked)
{
	const struct facts_user *user = &p->facts->asked;
	const char *name = user->name ? user->name : "?";
	const char *owner = p->facts->uid_5678_name;
	uint64_t uid;

	if (!user->found)
		missing(p, asked);
	else if (user->uid == 0)
		say(p, *asked ? CONFIG_ERROR : HOST_ERROR, SETTING,
		    "'%s' has UID 0: what the proxy's user does is exempt from the redirect, and "
		    "root cannot be; name a user that nobody else is",
		    name);
	else if (!*asked && owner && strcmp(owner, KUMA_DP_USER) != 0)
		say(p, HOST_ERROR, SETTING,
		    "UID %d belongs to '%s', not to '%s': name the user that the proxy is to run as",
		    KUMA_DP_UID, owner, KUMA_DP_USER);
	else if (new_user_is_number(asked) &&
		 !(parse_decimal(asked, UINT32_MAX, &uid) && uid == user->uid))
		say(p, HOST_ERROR, SETTING,
		    "'%s' is no UID of this host but the name of a user with UID %u: ask for that "
		    "UID",
		    asked, user->uid);
}

/* The reference's sentences; UID 0 and foreign names are allowed there. */
static void plan_user_for_install(struct planner *p, const char *asked)
{
	if (p->facts->asked.found)
		return;
	if (*asked)
		say(p, HOST_ERROR, SETTING,
		    "the specified UID or username ('%s') does not refer to a valid user "
		    "on the host",
		    asked);
	else
		say(p, HOST_ERROR, SETTING,
		    "no UID or username provided, and user with the default UID ('%d') or "
		    "username ('%s') could not be found",
		    KUMA_DP_UID, KUMA_DP_USER);
}

void plan_user(struct planner *p)
{
	const char *asked = p->config->kuma_dp_user ? p->config->kuma_dp_user : "";

	p->plan->user = p->facts->asked;
	if (p->purpose == CHECK_RUN)
		plan_user_for_run(p, asked);
	else
		plan_user_for_install(p, asked);
}
