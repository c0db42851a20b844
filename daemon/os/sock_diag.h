/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Who listens and who is connected, from the kernel by sock_diag(7); needs no capability. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/plan/facts.h"

/* The listener that a TCP connection to addr:port would reach. Returns 1 with its uid, 0 when there
 * is none, or a negative errno. */
int sock_tcp_listener(const struct ip_addr *addr, uint16_t port, uid_t *ret_uid, struct error *err)
	_must_check_;

struct tcp_socket {
	struct facts_socket at;
	bool listens;    /* else it is connected */
	uint32_t inode;  /* as /proc/PID/fd has it; 0: nobody has accepted the connection yet */
	uint64_t cgroup; /* in which it was made, by the inode of its directory; 0: not told */
};

struct tcp_socket_list {
	struct tcp_socket *items;
	size_t n;
};

/* All TCP listeners of this network namespace and root's established connections; memory from
 * arena. */
int sock_tcp_list(struct arena *arena, struct tcp_socket_list *ret, struct error *err) _must_check_;

/* All UDP sockets of this network namespace with that local port; memory from arena. What takes IPv4 at its
 * IPv6 address "::" is there twice. */
int sock_udp(struct arena *arena, uint16_t port, struct socket_list *ret, struct error *err)
	_must_check_;

/* How many TCP connections (any state in which data can still move) have a local port among ports
 * and belong to uid. */
int sock_tcp_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret, struct error *err)
	_must_check_;
