/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/verbs/verbs.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/operator/log.h"

const struct verb verbs[] = {
	{ "run", verb_run, "supervise kuma-dp and redirect this host's traffic" },
	{ "prepare", verb_prepare,
	  "make what the sandboxed daemon cannot: the user, the lock file" },
	{ "check", verb_check, "say what is wrong or risky; change nothing" },
	{ "install", verb_install,
	  "install the redirect once, as kumactl install transparent-proxy" },
	{ "uninstall", verb_uninstall, "take the redirect out, whoever left it" },
	{ "status", verb_status, "say what is true now: phase, processes, rules" },
	{ "reload", verb_reload, "ask the running daemon to read its configuration again" },
	{ "log-level", verb_log_level, "set the running daemon's log level" },
	{ "show-config", verb_show_config, "print the effective configuration with origins" },
	{ "describe", verb_describe, "print the settings: help, yaml, bash" },
};
const size_t n_verbs = ELEMENTS(verbs);

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
