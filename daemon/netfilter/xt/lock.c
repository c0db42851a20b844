/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "daemon/os/fd.h"
#include "daemon/netfilter/netfilter.h"

#define LOCK_FILE "/run/xtables.lock"

int xtables_lock(int *ret_fd, struct error *err)
{
	const char *asked = getenv("XTABLES_LOCKFILE");
	const char *path = asked && asked[0] ? asked : LOCK_FILE;
	_close_ int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_sys(err, -errno, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return NETFILTER_BUSY;
		return error_sys(err, -errno, "lock %s", path);
	}
	*ret_fd = take_fd(&fd);
	return 0;
}
