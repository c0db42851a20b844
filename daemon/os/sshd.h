/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which sockets are sshd's. Two ways to know: by the unit in whose control group a socket was made
 * (ssh.service, ssh.socket, sshd@….service and so on; works from the sandbox, needs cgroup v2), and
 * by the descriptors of processes named sshd (where /proc/PID/fd may be read: cgroup v1 hosts, an
 * sshd outside of systemd). Only for sock_diag.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

struct sshd_sockets {
	struct arena *arena;
	struct u64_list {
		uint64_t *items;
		size_t n;
	} cgroups, inodes;
	bool no_cgroups; /* this host has no cgroup v2 hierarchy to compare with */
};

/* Looks them up. What cannot be read is not found. */
void sshd_sockets_find(struct arena *arena, struct sshd_sockets *ret);

/* Whether a socket made in this control group (0: not known), with this inode, is sshd's. */
bool sshd_sockets_has(const struct sshd_sockets *sockets, uint64_t cgroup, uint64_t inode);

/* Whether a unit of this name is sshd's. */
bool sshd_unit(const char *name);
