/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Gathers the facts about this host that a plan needs; changes nothing. Mirror of
 * common/plan/facts.h. */

#include "common/base/arena.h"
#include "common/base/diag.h"
#include "common/base/error.h"
#include "common/config/check.h"
#include "common/plan/facts.h"

/* Facts for a configuration. Files are judged as the sandboxed unit would see them: by root without
 * CAP_DAC_OVERRIDE and by the kuma-dp user. For CHECK_INSTALL only what rules need is gathered.
 * `kuma-dp version` is run as the kuma-dp user, unless ret knows it from an earlier call and the file
 * is the same (its programs are to be zero otherwise). What could not be found out is in the facts
 * (problem texts), not an error. */
int host_facts(struct arena *arena, const struct config *config, enum check_purpose purpose,
	       struct facts *ret, struct error *err) _must_check_;

/* Reads only resolv.conf again, as host_facts() does for CHECK_RUN. */
void host_resolv_conf(struct arena *arena, const struct config *config, struct facts *facts);

/* Reads only the token again, into facts->token. */
void host_token(struct arena *arena, const struct config *config, struct facts *facts);
