/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/verbs.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/operator/log.h"

int verb_usage(const char *verb, const struct error *err)
{
	log_error(err, "Usage");
	fprintf(stderr, "See tproxyd %s --help\n", verb);
	return EX_USAGE;
}

int verb_needs_root(const char *verb)
{
	if (geteuid() == 0)
		return 0;
	log_error(NULL, "tproxyd %s needs root", verb);
	return EX_NOPERM;
}
