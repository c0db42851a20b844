/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The parts of daemon/host/host.h that are nobody else's. */

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* Loopback, addresses and what follows from them. */
int host_addresses(struct arena *arena, struct facts *facts, struct error *err) _must_check_;

/* Which ports connections of this host may take, and what is reserved; unknown where it is hidden. */
void host_ports(struct arena *arena, struct facts *facts);

/* Whether root has what changing rules needs. */
void host_capabilities(struct facts *facts);

/* The addresses of the host in an URL, where it is a literal or "localhost". */
void host_url_addresses(struct arena *arena, const char *url, struct ip_list *ret);

/* Finds kuma-dp, envoy and, where it is run, coredns; whether the kuma-dp user can execute them.
 * Asks kuma-dp for its version, and coredns where it is our own child. facts->asked has to be known. */
void host_programs(struct arena *arena, const struct config *config, struct facts *facts);
