/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "daemon/netfilter/netfilter.h"
#include "daemon/os/fd.h"

#define LOCK_FILE "/run/xtables.lock"

const char *xtables_lock_file(void)
{
	const char *asked = secure_getenv("XTABLES_LOCKFILE");

	return asked && asked[0] ? asked : LOCK_FILE;
}

int xtables_lock(int *ret_fd, struct error *err)
{
	_close_ int fd = open(xtables_lock_file(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_sys(err, -errno, "open %s", xtables_lock_file());
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return error_sys(err, -errno, "lock %s", xtables_lock_file());
		(void)error_set(err, -EBUSY, "another program holds the xtables lock");
		return NETFILTER_BUSY;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int xtables_lock_prepare(struct error *err)
{
	int flags = O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	_close_ int fd = open(xtables_lock_file(), flags, 0600);

	return fd < 0 ? error_sys(err, -errno, "make %s", xtables_lock_file()) : 0;
}
