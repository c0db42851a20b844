/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <criterion/criterion.h>

/* A service manager that only listens; returns its socket, which never blocks. */
static inline int manager_new(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char name[sizeof(addr.sun_path) + 1] = "@";

	/* The kernel chooses an abstract name. */
	cr_assert_eq(bind(fd, (const struct sockaddr *)&addr, len), 0);
	len = sizeof(addr);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	memcpy(name + 1, addr.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
	cr_assert_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
	return fd;
}
