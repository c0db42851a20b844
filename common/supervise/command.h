/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a child is given: argv, environment and files, from the plan. kuma-dp's flags differ by
 * version; command.c holds the table. Nothing is executed or written here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/diag.h"
#include "common/plan/plan.h"

/* A file to be written before the child starts. */
struct command_file {
	const char *path; /* absolute, below the runtime directory */
	const char *text;
	size_t len;
	unsigned mode; /* owned by the kuma-dp user */
};

struct command {
	const char *name;           /* "kuma-dp" or "coredns": journal identifier */
	const char *path;           /* absolute path of the program */
	const char *const *argv;    /* NULL-terminated */
	const char *const *environ; /* NULL-terminated; complete: nothing is inherited */
	const struct command_file *files;
	size_t n_files;
	/* paths of further files whose content matters (CA certificate …) */
	const char *const *digested;
	size_t n_digested;
};

struct command_dirs {
	const char *runtime; /* "/run/tproxyd" */
	const char *work; /* "/run/tproxyd/dp": owned by kuma-dp, 0711, wiped before each start */
	const char *path; /* $PATH for the children */
};

/* kuma-dp's command. What this version cannot do (a coreDNS mode, an unknown major version) is an
 * error in diags. */
void command_kuma_dp(struct arena *arena, const struct plan *plan, const struct command_dirs *dirs,
		     struct command *ret, struct diag_list *diags);

/* coredns as our own child (coreDNS.mode tproxyd), with its Corefile. `servers` is what
 * /etc/resolv.conf is to it; the file itself is named in the Corefile. */
void command_core_dns(struct arena *arena, const struct plan *plan, const struct command_dirs *dirs,
		      struct command *ret, struct diag_list *diags);

/* The Corefile for CORE_DNS_TPROXYD: from the user's template or the built-in one
 * (conf/Corefile.in). */
const char *command_corefile(struct arena *arena, const struct plan *plan);

/* Whether two commands would start the same process: argv, environment and files. */
bool command_equal(const struct command *a, const struct command *b);

/* What command_equal() compares, in 128 bits that can be kept when the command is gone. */
void command_digest(const struct command *command, uint64_t ret[static 2]);
