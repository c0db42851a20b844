/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The ports that rules send traffic to, kept from other users while rules may be in: when the proxy
 * dies, whoever binds such a port would receive the host's connections and DNS queries. Each is held
 * by a socket of the proxy's user with SO_REUSEPORT, which takes nothing itself: a TCP socket that
 * does not listen, a UDP socket that is connected to loopback port 1. The proxy's own sockets come
 * beside it, before or after, if they have SO_REUSEPORT too; a port of which the proxy's have not is
 * left alone.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/strbuf.h"
#include "common/plan/plan.h"

#define RESERVE_MAX 16 /* four ports in two families, of two plans */

/* Zero is an empty one. */
struct reserve {
	struct reserved {
		int fd;
		uint16_t port;
		int type; /* SOCK_STREAM or SOCK_DGRAM */
		enum family family;
	} items[RESERVE_MAX];
	size_t n;
};

/* Reserves what the plan's rules send traffic to and is not reserved yet, at the end of items. Those
 * that cannot be had are added to missing: "TCP port 15006 on IPv4 (Address already in use), …". */
void reserve_take(struct reserve *reserve, const struct plan *plan, struct strbuf *missing);

/* Takes over the sockets that a predecessor has made (at most RESERVE_MAX), before the proxy is
 * started. Returns whether it did: where they do not fit the plan they would keep the proxy itself
 * away, and are closed. */
bool reserve_adopt(struct reserve *reserve, const int *fds, size_t n, const struct plan *plan);

/* Takes over those of a predecessor whose rules are in, and whose proxy runs: they fit what is there. */
void reserve_inherit(struct reserve *reserve, const int *fds, size_t n, uid_t uid);

/* Gives back what the plan's rules do not send traffic to. Returns whether there was any. */
bool reserve_keep(struct reserve *reserve, const struct plan *plan);

/* Gives all of them back. */
void reserve_done(struct reserve *reserve);
