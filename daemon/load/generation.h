/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One configuration with everything that follows from it, in one arena: replaced as a whole, never
 * changed. Mirror of common/: config -> facts -> plan -> rulesets and commands.
 */

#include "common/base/cleanup.h"
#include "common/plan/plan.h"
#include "common/rules/ruleset.h"
#include "common/supervise/carry.h"
#include "common/supervise/change.h"
#include "common/supervise/command.h"
#include "daemon/load/options.h"

struct generation {
	struct arena arena;
	unsigned number;
	/* Generations that share what was loaded refer to the one that has loaded it. */
	unsigned references;
	struct generation *loaded_by; /* NULL: itself */
	/* The command line it was loaded with, so that it can be loaded again; lives as long as the
	 * process. */
	int argc;
	char **argv;
	struct options options;
	struct facts facts;
	struct plan plan;
	struct ruleset rules[LEVEL_COUNT];
	struct command command[CHILD_COUNT]; /* path NULL: we do not run that one */
	uint64_t digest[CHILD_COUNT][2];     /* of the commands */
	const char *cause; /* of a later one: "The configuration was read again" */
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
void generation_free(struct generation *generation); /* NULL is nothing */
DEFINE_CLEANUP(struct generation *, generation_free, NULL);

/* The generation that follows one when only the name servers in resolv.conf have changed:
 * configuration, commands and all other facts stay. It does not need the former one to live on.
 * Returns 0 with *ret set (look at its diagnostics), or a negative errno. */
int generation_follow(struct generation *former, struct generation **ret, struct error *err)
	_must_check_;

/* The generation that the same command line, its files, the environment and the host make now, as
 * generation_new() does; it does not need the former one to live on. Returns 0 with *ret set (look
 * at its diagnostics), or a negative errno: a configuration from standard input cannot be read twice. */
int generation_again(const struct generation *former, struct generation **ret, struct error *err)
	_must_check_;

/* What a generation was made of, as facts with that prefix for a successor of this daemon: the texts of
 * its files as they were read, and how its children and rules were known. */
void generation_add_inputs(const struct generation *generation, const char *prefix,
			   struct strbuf *out);

/* The successor makes it anew: of those texts, its own command line and environment, and the host as
 * it is. What it cannot make is an error. */
struct generation_heir {
	int argc;
	char **argv; /* as generation_new() takes them */
	const char *prefix;
};

struct inheritance {
	struct generation *generation; /* the caller's */
	bool same_rules;               /* as the former one made of it */
	/* its commands, as the former one knew them: children that have one of these are of it */
	uint64_t digest[CHILD_COUNT][2];
};

int generation_inherit(const struct generation_heir *heir, struct handover *handover,
		       struct inheritance *ret, struct error *err) _must_check_;

/* generation.c, for inherit.c alone: an empty one; all that follows from its command line, and from the
 * files that are given where they are not to be read. */
struct given_inputs {
	struct layer_file_list files;
	struct facts facts; /* texts and programs, and when they were read */
};

struct generation *generation_make(unsigned number);
int generation_fill(struct generation *g, enum generation_purpose purpose,
		    const struct given_inputs *given, struct error *err) _must_check_;

/* Another one of the same content, to be taken after `number - 1`; NULL: no memory. */
struct generation *generation_repeat(struct generation *former, unsigned number, const char *cause);

/* Whether both put the same rules into the kernel, at every level. */
bool generation_same_rules(const struct generation *a, const struct generation *b);

/* What a daemon has to do to come from one to the other, in words too: settings that differ, then
 * files, then what the host has brought about. In the arena of next. */
void generation_compare(const struct generation *former, struct generation *next,
			struct change *ret);

/* The exit status for the diagnostics: 0, 78 (configuration), 1 (host). */
int generation_exit_status(const struct generation *generation);
