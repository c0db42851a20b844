/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Descriptors and streams that end with their scope. */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/cleanup.h"

static inline void close_fdp(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	errno = saved;
}
#define _close_ _cleanup_(close_fdp)

static inline void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f);
}
#define _fclose_ _cleanup_(fclosep)

/* Hands a descriptor over: the variable is -EBADF afterwards. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -EBADF;
	return taken;
}
