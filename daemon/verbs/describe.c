/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/config/describe.h"
#include "daemon/load/options.h"
#include "daemon/verbs/verbs.h"

static const struct describe_format *format_lookup(const char *name)
{
	for (size_t i = 0; i < n_describe_formats; i++)
		if (strcmp(describe_formats[i].name, name) == 0)
			return &describe_formats[i];
	return NULL;
}

static int describe(const struct options *options, struct error *err)
{
	_strbuf_ struct strbuf out = { 0 };
	const struct describe_format *format;

	if (options->n_positional != 1)
		return error_set(err, -EINVAL, "one format is needed: help, yaml or bash");
	format = format_lookup(options->positional[0]);
	if (!format)
		return error_set(err, -EINVAL, "there is no format '%s'; help, yaml and bash are",
				 options->positional[0]);
	format->print(&out);
	if (out.failed)
		return error_sys(err, -ENOMEM, "describe");
	if (fputs(strbuf_text(&out), stdout) < 0 || fflush(stdout) != 0)
		return error_sys(err, -errno, "write");
	return 0;
}

int verb_describe(int argc, char *argv[], struct error *err)
{
	struct options options = { 0 };
	struct arena arena = { 0 };
	int r = options_load(&arena, argc, argv, OPTIONS_NONE, NULL, 0, &options, err);

	if (r == 0 && !options.help)
		r = describe(&options, err);
	if (r == -EINVAL)
		r = verb_usage("describe", err);
	arena_done(&arena);
	return r;
}
