/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/operator/log.h"
#include "daemon/os/retreat.h"
#include "daemon/verbs/verbs.h"

/* In the order of the help text. */
static const struct verb {
	const char *name;
	/* argv[0] is the verb. Its exit status, or a negative errno with the sentence in err. */
	int (*run)(int argc, char *argv[], struct error *err);
	const char *help;
} verbs[] = {
	{ "run", verb_run, "supervise kuma-dp and redirect this host's traffic" },
	{ "prepare", verb_prepare,
	  "make what the sandboxed daemon cannot: the user, the lock file" },
	{ "check", verb_check, "say what is wrong or risky; change nothing" },
	{ "install", verb_install,
	  "install the redirect once, as kumactl install transparent-proxy" },
	{ "uninstall", verb_uninstall, "take the redirect out, whoever left it" },
	{ "status", verb_status, "say what is true now, on one screen, or for programs" },
	{ "reload", verb_reload, "ask the running daemon to read its configuration again" },
	{ "reexec", verb_reexec,
	  "replace the running daemon by the installed version, without a gap" },
	{ "confirm", verb_confirm, "let the redirect stay, where safety.confirm is set" },
	{ "log-level", verb_log_level, "set the running daemon's log level" },
	{ "show-config", verb_show_config, "print the effective configuration with origins" },
	{ "describe", verb_describe, "print the settings: help, yaml, bash" },
};

static const struct verb *verb_lookup(const char *name)
{
	for (size_t i = 0; name && i < ELEMENTS(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("Usage: tproxyd VERB [OPTION…]\n\n", out);
	for (size_t i = 0; i < ELEMENTS(verbs); i++)
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
		log_error(NULL, "There is no verb '%s'", name);
	print_usage(stderr);
	return EX_USAGE;
}

static int run(int argc, char *argv[])
{
	const struct verb *verb = verb_lookup(argc > 1 ? argv[1] : NULL);
	struct error err = { 0 };
	int r;

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

int main(int argc, char *argv[])
{
	int status;

	retreat_prepare(argc, argv);
	log_init();
	status = run(argc, argv);
	log_done();
	return status;
}
