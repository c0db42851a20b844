/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A look into nf_tables, for daemon/host/host.h and daemon/netfilter/leftovers/takeover.h. It
 * creates no table. */

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/ip.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* Whether a base chain of type nat holds a rule that is neither ours nor kumactl's (Docker through
 * iptables-nft, firewalld, the operator's own). kumactl's are known by their chains and comments;
 * what it puts into a base chain without a comment counts as foreign. A kernel
 * without nf_tables, and a caller without CAP_NET_ADMIN, have none to tell of. */
bool host_nft_nat_foreign(void);

/* The smallest priority of the chains of such rules that packets may meet before the last chain of ours there;
 * 0: there is none. */
int host_nft_nat_first(void);

/* Finds all that facts hold of it; for `run` also what is loaded into it at boot. */
void host_nft_look(struct arena *arena, enum check_purpose purpose, struct facts *facts);

/* In which families chains of kumactl's name or rules with its comments are in the tables that
 * iptables-nft keeps; ret is false before. */
int host_nft_leftovers(bool ret[static FAMILY_COUNT], struct error *err) _must_check_;
