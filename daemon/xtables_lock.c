/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/xtables_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>

#include "daemon/fd.h"
#include "daemon/netfilter.h"

#define LOCK_FILE "/run/xtables.lock"
#define STEP_USEC 5000

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

int xtables_lock_wait(uint64_t timeout_usec, int *ret_fd, struct error *err)
{
	static const struct timespec step = { .tv_nsec = (long)STEP_USEC * 1000 };

	for (uint64_t waited = 0;; waited += STEP_USEC) {
		int r = xtables_lock(ret_fd, err);

		if (r != NETFILTER_BUSY || waited >= timeout_usec)
			return r;
		(void)nanosleep(&step, NULL);
	}
}
