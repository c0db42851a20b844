/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The programs that tproxyd runs: where they are, whether the kuma-dp user can execute them, which
 * version they are. A part of daemon/host/host.h, used by nobody else. */

#include "common/base/arena.h"
#include "common/config/config.h"
#include "common/plan/facts.h"

/* Finds kuma-dp, envoy and, where it is run, coredns; asks kuma-dp for its version, and coredns
 * where it is our own child. facts->asked has to be known. */
void host_programs(struct arena *arena, const struct config *config, struct facts *facts);
