/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What nf_tables can do on this host: transactions that the kernel judges and that are not committed. A
 * module that is missing is loaded; nothing is left, and nobody is told. */

#include "daemon/netfilter/netfilter.h"

int nft_probe(enum check_purpose purpose, enum family family, struct facts_family *ret,
	      struct error *err) _must_check_;

/* As struct netfilter_backend has it. */
int nft_validate(const struct ruleset *rules, struct error *err) _must_check_;
