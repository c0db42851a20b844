/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/config/describe.h"
#include "daemon/load/options.h"
#include "daemon/verbs/verbs.h"

static int show(const struct options *options, struct error *err)
{
	_strbuf_ struct strbuf out = { 0 };

	if (options->n_positional)
		return error_set(err, -EINVAL, "'%s' is no option", options->positional[0]);
	options_print_diags(&options->diags);
	if (options->diags.n_errors)
		return EX_CONFIG;
	describe_config(&options->loaded, &out);
	if (out.failed)
		return error_sys(err, -ENOMEM, "show the configuration");
	if (fputs(strbuf_text(&out), stdout) < 0 || fflush(stdout) != 0)
		return error_sys(err, -errno, "write");
	return 0;
}

int verb_show_config(int argc, char *argv[], struct error *err)
{
	struct options options = { 0 };
	struct arena arena = { 0 };
	int r = options_load(&arena, argc, argv, OPTIONS_SYSTEM, NULL, 0, &options, err);

	if (r == 0 && !options.help)
		r = show(&options, err);
	if (r == -EINVAL)
		r = verb_usage("show-config", err);
	arena_done(&arena);
	return r;
}
