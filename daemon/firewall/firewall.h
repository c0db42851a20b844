/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The host's own packet filter as facts. A part of daemon/host/host.h. */

#include "common/base/arena.h"
#include "common/plan/facts_firewall.h"

/* All chains of packets to this host, for connections that are redirected to inbound_port and for
 * those that are not, and all in front of connection tracking. What cannot be read is left out: a
 * caller without the right to look learns nothing. */
void host_firewall(struct arena *arena, uint16_t inbound_port, struct facts_firewall *ret);
