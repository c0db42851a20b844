/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A look into nf_tables. A part of daemon/host.h, used by nobody else. */

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Whether a base chain of type nat holds a rule that is neither ours nor kumactl's (Docker through
 * iptables-nft, firewalld, the operator's own). kumactl's are known by their chains and comments;
 * what it puts into a base chain without a comment counts as foreign. Needs CAP_NET_ADMIN. */
int host_nft_nat_foreign(bool *ret, struct error *err) _must_check_;
