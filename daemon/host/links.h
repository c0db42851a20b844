/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The network interfaces of this host, and their addresses. */

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/ip.h"

struct link {
	unsigned index, master;  /* master: the bridge or bond that it is a part of; 0: none */
	const char *name, *kind; /* kind: "bridge", "veth", ...; NULL: hardware, mostly */
	bool up, loopback;
};

struct link_address {
	unsigned index; /* of its interface */
	struct ip_addr addr;
};

struct link_list {
	struct arena *arena; /* the caller's */
	struct link *items;
	size_t n;
	struct {
		struct link_address *items;
		size_t n;
	} addresses;
};

int host_links(struct link_list *ret, struct error *err) _must_check_;

/* NULL: there is none of that index. */
const struct link *link_find(const struct link_list *list, unsigned index);

/* Whether only containers and virtual machines of this host are at its other end: a bridge without
 * a port that leads elsewhere. */
bool link_is_inner(const struct link_list *list, const struct link *link);
