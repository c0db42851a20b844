/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A verb's command line and the configuration that follows from it: which files are read, which
 * options are settings (from the schema), which are the verb's own.
 */

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/diag.h"
#include "common/base/error.h"
#include "common/config/layers.h"

/* An option of one verb that is no setting. */
struct option_row {
	const char *name;   /* without dashes */
	bool *flag;         /* a switch: set to true; or */
	const char **value; /* takes a value */
	const char *help;
};

/* Where settings come from. */
enum options_source {
	/* no settings: only the verb's own options */
	OPTIONS_NONE,
	/* /etc/tproxyd (or --config-file, $TPROXYD_CONFIG_FILE), environment, flags */
	OPTIONS_SYSTEM,
	/* install: --config and --config-file as kumactl's, environment, flags */
	OPTIONS_NAMED,
	/* uninstall: kumactl's few flags */
	OPTIONS_KUMACTL_UNINSTALL,
};

struct options {
	struct arena *arena;
	struct loaded loaded;
	struct diag_list diags;
	bool help;               /* --help was given and has been printed: exit 0 */
	const char **positional; /* words that are no options */
	size_t n_positional;
};

/* Reads the command line (argv[0] is the verb), the files and the environment. Mistakes in values
 * and files are in ret->diags; an unknown option or an unreadable file named by the user is an
 * error with -EINVAL (usage, exit 64) or the file's errno (exit 78 through diags). Everything lives
 * in arena. */
int options_load(struct arena *arena, int argc, char *argv[], enum options_source source,
		 const struct option_row *rows, size_t n_rows, struct options *ret,
		 struct error *err) _must_check_;

/* Prints all diagnostics to stderr, compiler-style. */
void options_print_diags(const struct diag_list *diags);
