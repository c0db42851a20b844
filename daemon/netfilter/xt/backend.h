/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The legacy tables of iptables, through libiptc. The door of this folder. */

#include "daemon/netfilter/netfilter.h"

extern const struct netfilter_backend backend_xt;
