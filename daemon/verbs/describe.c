/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that print settings: describe, show-config. */

#include <sysexits.h>

#include "common/base/cleanup.h"
#include "common/config/describe.h"
#include "daemon/load/options.h"
#include "daemon/verbs/verbs.h"

int verb_describe(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_NONE, NULL, 0, describe_formats };
	_cleanup_(arena_done) struct arena arena = { 0 };
	_strbuf_ struct strbuf out = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("describe", r, err);
	describe((enum describe_format)options.choice, &out);
	return verb_print(&out, err);
}

int verb_show_config(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_SYSTEM, NULL, 0, NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	_strbuf_ struct strbuf out = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("show-config", r, err);
	options_print_diags(&options.diags);
	if (options.diags.n_errors)
		return EX_CONFIG;
	describe_config(&options.loaded, &out);
	return verb_print(&out, err);
}
