/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What this host can do through the legacy tables, without making one. */

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/ip.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* Sets iptables and docker_output. For `run` a module that only has to be loaded counts: the unit
 * sees to that. Others than root may not know of Docker's chain: then there is none. */
int xt_probe(enum check_purpose purpose, enum family family, struct facts_family *ret,
	     struct error *err) _must_check_;
