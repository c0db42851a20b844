/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/load/options.h"
#include "daemon/operator/log.h"

int verb_end(const char *verb, int answer, const struct error *err)
{
	if (answer < 0)
		return answer;
	if (answer == OPTIONS_HELP)
		return EXIT_SUCCESS;
	log_error(err, "Usage");
	fprintf(stderr, "See tproxyd %s --help\n", verb);
	return EX_USAGE;
}

int verb_print(const struct strbuf *text, struct error *err)
{
	if (text->failed)
		return error_sys(err, -ENOMEM, "print");
	if (fwrite(text->text, 1, text->len, stdout) != text->len || fflush(stdout) != 0)
		return error_sys(err, -errno, "write to standard output");
	return 0;
}

int verb_needs_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	log_error(NULL, "tproxyd %s needs root", verb);
	return EX_NOPERM;
}
