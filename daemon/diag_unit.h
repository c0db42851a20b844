/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which sockets are sshd's: the sandboxed daemon cannot look into other processes, but sock_diag
 * tells the control group in which a socket was made, as the inode number of its directory.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct ssh_units {
	uint64_t *items; /* inode numbers of the directories of ssh.service, ssh.socket, sshd… */
	size_t n;
	bool unknown; /* this host has no cgroup v2 hierarchy to compare with */
};

/* Walks the cgroup v2 hierarchy once; memory from arena. */
void ssh_units_find(struct arena *arena, struct ssh_units *ret);

/* Whether a socket made in that cgroup is sshd's. Where the hierarchy is unknown, root's port 22
 * is. */
bool ssh_units_have(const struct ssh_units *units, uint64_t cgroup, uint16_t port, unsigned uid);
