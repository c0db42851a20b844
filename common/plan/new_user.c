/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/new_user.h"

#include <errno.h>
#include <string.h>

#include "common/plan/plan.h"

#define DIGITS       "0123456789"
#define LETTERS      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define NAME_LEN_MAX 31 /* systemd-sysusers takes no longer one; useradd takes 32 */

/* Whether useradd and systemd-sysusers of every distribution take it. */
static bool is_name(const char *name)
{
	return *name && strchr(LETTERS, *name) && !name[strspn(name, LETTERS DIGITS "-")] &&
	       strlen(name) <= NAME_LEN_MAX;
}

bool new_user_is_number(const char *asked)
{
	asked += *asked == '-' || *asked == '+';
	return *asked && !asked[strspn(asked, DIGITS)];
}

int new_user_judge(const char *asked, const char *uid_5678_name, struct new_user *ret,
		   struct error *err)
{
	const char *name = asked;

	if (!*asked || strcmp(asked, "5678") == 0)
		name = KUMA_DP_USER;
	else if (new_user_is_number(asked))
		return error_set(
			err, -EINVAL,
			"no user has UID %s%s: name one that exists, or a name to be created",
			asked,
			strspn(asked, "+-0") ? " (sign and zeros are no part of a UID)" : "");
	if (!is_name(name))
		return error_set(err, -EINVAL,
				 "user '%s' cannot be created: a name to create has at most %d "
				 "letters, digits, _ and -, and begins with a letter or _",
				 name, NAME_LEN_MAX);
	*ret = (struct new_user){ name, strcmp(name, KUMA_DP_USER) == 0 };
	if (ret->uid_5678 && uid_5678_name)
		return error_set(err, -EEXIST,
				 "user '%s' cannot be created: UID %d belongs to '%s'", name,
				 KUMA_DP_UID, uid_5678_name);
	return 0;
}
