/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/operator/log.h"
#include "daemon/verbs/verbs.h"

static const struct verb *verb_lookup(const char *name)
{
	for (size_t i = 0; name && i < n_verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("Usage: tproxyd VERB [OPTION…]\n\n", out);
	for (size_t i = 0; i < n_verbs; i++)
		fprintf(out, "  %-12s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n'tproxyd VERB --help' lists the options of a verb; see tproxyd(8).\n", out);
}

/* No verb does nothing: a word forgotten must not redirect a host. */
static int usage(const char *name)
{
	if (name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (name && strcmp(name, "--version") == 0) {
		puts("tproxyd " TPROXYD_VERSION);
		return EXIT_SUCCESS;
	}
	if (name)
		fprintf(stderr, "tproxyd: there is no verb '%s'\n\n", name);
	print_usage(stderr);
	return EX_USAGE;
}

int main(int argc, char *argv[])
{
	const struct verb *verb = verb_lookup(argc > 1 ? argv[1] : NULL);
	struct error err = { 0 };
	int r;

	log_init();
	if (!verb)
		return usage(argc > 1 ? argv[1] : NULL);
	r = verb->run(argc - 1, argv + 1, &err);
	if (r < 0) {
		log_error(&err, "tproxyd %s", verb->name);
		return EXIT_FAILURE;
	}
	/* What did not get to its reader was not done. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_error(NULL, "tproxyd %s: the output could not be written", verb->name);
		return r == 0 ? EXIT_FAILURE : r;
	}
	return r;
}
