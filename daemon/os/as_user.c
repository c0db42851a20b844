/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/as_user.h"

#include <errno.h>
#include <sys/fsuid.h>
#include <unistd.h>

/* setfsuid() reports nothing: ask again. The group goes first, while we may still change it. */
int as_user(uid_t uid, gid_t gid, struct error *err)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	if ((uid_t)setfsuid((uid_t)-1) != uid || (gid_t)setfsgid((gid_t)-1) != gid)
		return error_set(err, -EPERM, "act as user %u", uid);
	return 0;
}

void as_ourselves(void)
{
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
}
