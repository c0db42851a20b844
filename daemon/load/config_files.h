/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Reads the files that make layers of a configuration: the system's, or those that a one-shot's
 * options name. What cannot be read is a diagnostic, as any other mistake. */

#include <stdbool.h>

#include "common/base/array.h"
#include "common/config/layers.h"

#define CONFIG_FILE   "/etc/tproxyd/tproxyd.yaml"
#define CONFIG_DROPIN "/etc/tproxyd/tproxyd.d"

struct config_files {
	struct arena *arena;
	struct diag_list *diags;
	struct layer_file *items; /* in the order in which they count */
	size_t n;
	bool stdin_read;
	bool no_fifo; /* a service does not wait for whoever may write to one */
};

/* The main file and the drop-ins by name; or, instead of all that, the file that named (the option;
 * may be NULL) or $TPROXYD_CONFIG_FILE says. A main file that does not exist is an empty one. */
void config_files_system(struct config_files *files, const char *named);

/* kumactl's way: the one of --config-file (may be NULL), then each of --config: a path, "-" for
 * standard input, or the text itself. */
void config_files_named(struct config_files *files, const char *config_file,
			const struct string_list *configs);
