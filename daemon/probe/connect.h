/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For probe.c: the sockets of its questions. Those that connect return a descriptor (owned by the
 * caller; it does not block), or -1 and errno. */

#include "daemon/probe/probe.h"

extern const struct ip_addr loopback[FAMILY_COUNT];

/* To the admin endpoint with the user's fsuid: the socket is 0600 and root in the unit has no
 * CAP_DAC_OVERRIDE. Where the peer is the user's, it is Envoy: *ret_envoy is then its process. */
int connect_admin_socket(const struct probe_target *target, pid_t *ret_envoy);

int connect_loopback(enum family family, int type, uint16_t port);

/* Anybody may listen on a port (TCP; 0: none); whoever does is asked only where it is the kuma-dp user. */
bool port_is_proxys(const struct probe_target *target, uint16_t port);
