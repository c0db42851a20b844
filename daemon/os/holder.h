/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who has a socket of netlink(7), found through proc(5). */

#include <stdint.h>
#include <sys/types.h>

#include "common/base/attr.h"

struct holder {
	pid_t pid;
	char name[32]; /* of the program, printable */
};

/* Finds the process that has the socket of that protocol and port of this network namespace open: systemd,
 * which keeps those of services, only where it alone has. Returns 0, or -ESRCH: nobody that we may see. It
 * reads what every process has open. */
int holder_find(int protocol, uint32_t port, struct holder *ret) _must_check_;
