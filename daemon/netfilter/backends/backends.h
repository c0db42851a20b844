/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The netfilter backends that there are: nobody else knows how many. */

#include "common/config/check.h"
#include "common/plan/facts.h"
#include "daemon/netfilter/netfilter.h"

/* By enum backend_choice; NULL for BACKEND_AUTO. */
extern const struct netfilter_backend *const netfilter_backends[BACKEND_COUNT];

/* What this host can do through each of them that may be used: the abilities of all families, and
 * docker_output where the legacy tables have it. nft_nat_foreign is known. Makes no table. For `run`
 * a module that only has to be loaded counts: the unit sees to that. */
int netfilter_probe(const struct config *config, enum check_purpose purpose, struct facts *facts,
		    struct error *err) _must_check_;

/* As root, before a daemon that may do less: makes what each of them will need. */
int netfilter_prepare(struct error *err) _must_check_;
