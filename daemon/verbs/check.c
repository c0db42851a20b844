/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/load/generation.h"
#include "daemon/verbs/verbs.h"

int verb_check(int argc, char *argv[], struct error *err)
{
	_cleanup_(generation_freep) struct generation *g = NULL;
	int r = generation_new(argc, argv, GENERATION_CHECK, &g, err);

	if (r != 0)
		return verb_end("check", r, err);
	options_print_diags(&g->options.diags);
	return generation_exit_status(g);
}
