/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A verb's command line and the configuration that follows from it: which files are read, which
 * options are settings (from the schema), which are the verb's own.
 */

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/base/diag.h"
#include "common/base/error.h"
#include "common/config/layers.h"

/* A switch of one verb, which is no setting. */
struct option_row {
	const char *name; /* without dashes */
	bool *flag;       /* set to true when the switch is given */
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

struct command_line {
	int argc;
	char **argv; /* argv[0] is the verb */
	enum options_source source;
	const struct option_row *rows;
	size_t n_rows;
	const char *const *choices; /* the verb takes one of these words; NULL: it takes none */
};

struct options {
	struct loaded loaded;
	struct diag_list diags;
	struct layer_file_list files; /* that were read, in the order in which they count */
	size_t choice;                /* which of the choices was given */
	bool from_stdin;              /* standard input was read for it */
};

/* Positive answers; negative ones are errors. */
enum options_answer {
	OPTIONS_LOADED,
	OPTIONS_HELP,  /* --help was given and has been printed */
	OPTIONS_USAGE, /* a mistake on the command line; the error says which */
};

/* Reads the command line, the files and the environment. Returns OPTIONS_LOADED with mistakes in
 * values and files in ret->diags, OPTIONS_HELP, OPTIONS_USAGE, or a negative errno. Everything lives
 * in arena. */
int options_load(struct arena *arena, const struct command_line *line, struct options *ret,
		 struct error *err) _must_check_;

/* The same with the texts of files that were read before (borrowed for the arena's life). */
int options_load_given(struct arena *arena, const struct command_line *line,
		       const struct layer_file_list *given, struct options *ret, struct error *err)
	_must_check_;

/* Prints all diagnostics to stderr, compiler-style. */
void options_print_diags(const struct diag_list *diags);
