/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/netfilter/record.h"
#include "daemon/os/fd.h"

#define LOCK     STATE_DIR "/lock"
#define TRIES    20
#define TRY_USEC 50000

static int refuse(pid_t pid, struct error *err)
{
	if (pid <= 0)
		return error_set(err, -EBUSY,
				 "another tproxyd works in this network namespace; which process "
				 "it is cannot be told");
	return error_set(err, -EBUSY,
			 "another tproxyd (process %d) works in this network namespace", (int)pid);
}

int instance_prepare(struct error *err)
{
	return mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST
		       ? error_sys(err, -errno, "make " STATE_DIR)
		       : 0;
}

int instance_acquire(int *ret_fd, struct error *err)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	_close_ int fd = -EBADF;
	struct stat netns;
	int r;

	if (stat("/proc/self/ns/net", &netns) < 0)
		return error_sys(err, -errno, "stat /proc/self/ns/net");
	r = instance_prepare(err);
	if (r < 0)
		return r;
	fd = open(LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, -errno, "open " LOCK);
	lock.l_start = (off_t)netns.st_ino;
	for (unsigned i = 0; i < TRIES; i++) {
		if (fcntl(fd, F_SETLK, &lock) == 0) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
		if (errno != EAGAIN && errno != EACCES)
			return error_sys(err, -errno, "lock " LOCK);
		(void)usleep(TRY_USEC);
	}
	/* Who has it; nobody any more, perhaps. */
	if (fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
		lock.l_pid = 0;
	return refuse(lock.l_pid, err);
}
