/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a child is given: argv, environment and files, from the plan. kuma-dp's flags differ by
 * version; command.c holds the table. Nothing is executed or written here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/array.h"
#include "common/base/diag.h"
#include "common/plan/plan.h"

#define RUNTIME_DIR "/run/tproxyd"
#define WORK_DIR    "/run/tproxyd/dp" /* owned by kuma-dp, 0711, wiped before each start */

/* The built-in Corefile, a template for common/plan/mustache.h: the same text as conf/Corefile.in. */
extern const char corefile_template[];

struct command_file {
	const char *path; /* absolute */
	const char *text; /* NULL: not known */
	const char *what; /* what it is to a reader: "the token" */
};

struct command_file_list {
	struct command_file *items;
	size_t n;
};

struct command {
	const char *name;                 /* "kuma-dp" or "coredns": journal identifier */
	const char *path;                 /* absolute path of the program */
	struct string_list argv, environ; /* NULL-terminated; complete: nothing is inherited */
	/* to be written into the work directory before it starts, for the kuma-dp user to read */
	struct command_file_list files;
	/* the user's own, which it reads itself when it starts (CA certificate …) */
	struct command_file_list given;
};

/* kuma-dp's command. What this version cannot do (a coreDNS mode, an unknown major version) is an
 * error in diags. */
void command_kuma_dp(struct arena *arena, const struct plan *plan, struct command *ret,
		     struct diag_list *diags);

/* coredns as our own child (coreDNS.mode tproxyd), with its Corefile: from the user's template or
 * the built-in one. */
void command_core_dns(struct arena *arena, const struct plan *plan, struct command *ret,
		      struct diag_list *diags);

/* The same for commands that would start the same process (argv, environment, and what its files hold),
 * in 128 bits that can be kept when the command is gone. */
void command_digest(const struct command *command, uint64_t ret[static 2]);

/* Whether both would start the same process, or none. */
bool command_equal(const struct command *a, const struct command *b);
