/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What user is made of kumaDPUser where nobody is called so: one judge for `check`, which promises
 * it, and `prepare`, which makes it. */

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/error.h"

struct new_user {
	const char *name;
	bool uid_5678; /* its UID has to be KUMA_DP_UID; else any that is free */
};

/* Whether kumaDPUser is written as a number, be it one that no UID can be. */
bool new_user_is_number(const char *asked);

/* asked is kumaDPUser, which no user of this host answers to; uid_5678_name is who has that UID, or
 * NULL. Returns 0, or -EINVAL or -EEXIST with a sentence that says why nobody can be made of it. */
int new_user_judge(const char *asked, const char *uid_5678_name, struct new_user *ret,
		   struct error *err) _must_check_;
