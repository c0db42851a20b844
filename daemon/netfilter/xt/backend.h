/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The legacy tables of iptables, through libiptc. The door of this folder. */

#include "daemon/netfilter/netfilter.h"

extern const struct netfilter_backend backend_xt;

/* A part of it. For `run` a module that only has to be loaded counts: the unit sees to that. Others
 * than root may not know of Docker's chain: then there is none. */
int xt_probe(enum check_purpose purpose, enum family family, struct facts_family *ret,
	     struct error *err) _must_check_;
