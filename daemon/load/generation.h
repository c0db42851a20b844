/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One configuration with everything that follows from it, in one arena: replaced as a whole, never
 * changed. Mirror of common/: config -> facts -> plan -> rulesets and commands.
 */

#include "common/base/cleanup.h"
#include "common/plan/plan.h"
#include "common/rules/ruleset.h"
#include "common/supervise/command.h"
#include "daemon/load/options.h"

#define RUNTIME_DIR "/run/tproxyd"
#define WORK_DIR    "/run/tproxyd/dp"

struct generation {
	struct arena arena;
	unsigned number;
	struct options options;
	struct facts facts;
	struct plan plan;
	struct ruleset rules[LEVEL_COUNT];
	struct command kuma_dp;
	struct command core_dns; /* path NULL: none of our own */
};

/* Which part of a generation a verb needs. */
enum generation_purpose {
	GENERATION_RUN,
	/* as run, but goes on to the host's part after mistakes in the configuration */
	GENERATION_CHECK,
	GENERATION_INSTALL,
};

/* Builds a generation from the command line. Returns 0 with *ret set, whatever is wrong with the
 * configuration or the host being in (*ret)->options.diags; a positive answer of options_load(); or
 * a negative errno. */
int generation_new(int argc, char *argv[], enum generation_purpose purpose, struct generation **ret,
		   struct error *err) _must_check_;
void generation_free(struct generation *generation);
DEFINE_CLEANUP(struct generation *, generation_free, NULL);

/* The generation that follows when only the name servers in resolv.conf have changed:
 * configuration, commands and all other facts are those of base, which must outlive it. Returns 0
 * with *ret set (look at its diagnostics), or a negative errno. */
int generation_follow(const struct generation *base, unsigned number, struct generation **ret,
		      struct error *err) _must_check_;

/* The exit status for the diagnostics: 0, 78 (configuration), 1 (host). */
int generation_exit_status(const struct generation *generation);
