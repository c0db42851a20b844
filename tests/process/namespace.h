/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whoever includes this runs in network namespaces of its own. Where none can be had the program
 * exits with 77, which ctest takes for "skipped". */

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/os/fd.h"

static inline int namespace_write(const char *path, const char *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* A plain user stays who it is, in a user namespace of its own. */
static inline int namespace_unshare(void)
{
	char uid_map[64], gid_map[64];
	int r;

	(void)snprintf(uid_map, sizeof(uid_map), "%u %u 1", getuid(), getuid());
	(void)snprintf(gid_map, sizeof(gid_map), "%u %u 1", getgid(), getgid());
	if (getuid() == 0)
		return unshare(CLONE_NEWNET) < 0 ? -errno : 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	r = namespace_write("/proc/self/uid_map", uid_map);
	if (r >= 0)
		r = namespace_write("/proc/self/setgroups", "deny");
	return r < 0 ? r : namespace_write("/proc/self/gid_map", gid_map);
}

static inline int namespace_enter(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_close_ int fd = -EBADF;
	int r;

	r = namespace_unshare();
	if (r < 0)
		return r;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
}

/* Before main(), in the program and in the process of each test: Criterion knows no other way. So
 * every test has a namespace of its own. */
__attribute__((constructor)) static void namespace_begin(void)
{
	int r = namespace_enter();

	if (r >= 0)
		return;
	(void)fprintf(stderr, "skipped: no network namespace: %s\n", strerror(-r));
	_exit(77);
}
