/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that ask the running daemon: status, reload, log-level. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "daemon/operator/control.h"
#include "daemon/operator/log.h"
#include "daemon/load/options.h"
#include "daemon/verbs/reply.h"
#include "daemon/verbs/verbs.h"

#define ANSWER_USEC ((uint64_t)5 * 1000 * 1000)

/* Asks and judges. Returns the reply, to be freed by the caller, or NULL with err filled in. */
static char *ask(const char *request, struct error *err)
{
	_free_ char *reply = NULL;
	int r = control_call(CONTROL_SOCKET, request, ANSWER_USEC, &reply, err);

	if (r == CONTROL_NOBODY)
		(void)error_set(err, -ESRCH, "tproxyd is not running");
	if (r != 0 || !reply || reply_check(reply, err) < 0)
		return NULL;
	return take_ptr(reply);
}

/* Reads the command line of a verb without settings; returns 1 to go on, else as the verb. */
static int read_options(struct arena *arena, int argc, char *argv[], const struct option_row *rows,
			size_t n_rows, struct options *ret, struct error *err)
{
	int r = options_load(arena, argc, argv, OPTIONS_NONE, rows, n_rows, ret, err);

	if (r == -EINVAL)
		return verb_usage(argv[0], err);
	if (r < 0)
		return r;
	return ret->help ? 0 : 1;
}

/* Asks and prints the answer: as it is, or for people. */
static int ask_and_print(const char *request, bool json, struct error *err)
{
	_free_ char *reply = ask(request, err);

	if (!reply)
		return err->code;
	if (json)
		return fputs(reply, stdout) < 0 ? error_sys(err, -errno, "write") : 0;
	return reply_print(reply, stdout, err);
}

int verb_status(int argc, char *argv[], struct error *err)
{
	bool json = false;
	const struct option_row rows[] = {
		{ "json", &json, NULL, "Print the daemon's answer as it is." },
	};
	struct arena arena = { 0 };
	struct options options = { 0 };
	int r = read_options(&arena, argc, argv, rows, ELEMENTS(rows), &options, err);

	if (r == 1)
		r = ask_and_print("status", json, err);
	arena_done(&arena);
	return r;
}

int verb_reload(int argc, char *argv[], struct error *err)
{
	struct arena arena = { 0 };
	struct options options = { 0 };
	int r = read_options(&arena, argc, argv, NULL, 0, &options, err);

	if (r == 1)
		r = ask_and_print("reload", false, err);
	arena_done(&arena);
	return r;
}

int verb_log_level(int argc, char *argv[], struct error *err)
{
	struct arena arena = { 0 };
	struct options options = { 0 };
	char request[64];
	int r = read_options(&arena, argc, argv, NULL, 0, &options, err);

	if (r == 1 && options.n_positional != 1) {
		(void)error_set(err, -EINVAL,
				"say one level: error, warning, notice, info or debug");
		r = verb_usage(argv[0], err);
	} else if (r == 1) {
		(void)snprintf(request, sizeof(request), "log-level %s", options.positional[0]);
		r = ask_and_print(request, false, err);
	}
	arena_done(&arena);
	return r;
}
