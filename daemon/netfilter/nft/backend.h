/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* nf_tables through libnftnl and libmnl: tables of our own. */

#include "daemon/netfilter/netfilter.h"

extern const struct netfilter_backend backend_nft;
