/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that ask the running daemon: status, reload, log-level. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "daemon/control.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/verbs/reply.h"
#include "daemon/verbs/verbs.h"

#define ANSWER_USEC ((uint64_t)5 * 1000 * 1000)

/* Asks and judges. Returns 0 with the reply, or a negative errno. */
static int ask(const char *request, char **ret_reply, struct error *err)
{
	_free_ char *reply = NULL;
	int r = control_call(CONTROL_SOCKET, request, ANSWER_USEC, &reply, err);

	if (r == CONTROL_NOBODY)
		return error_set(err, -ESRCH, "tproxyd is not running");
	if (r < 0)
		return r;
	r = reply_check(reply, err);
	if (r < 0)
		return r;
	*ret_reply = take_ptr(reply);
	return 0;
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

static int print_status(bool json, struct error *err)
{
	_free_ char *reply = NULL;
	int r = ask("status", &reply, err);

	if (r < 0)
		return r;
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
		r = print_status(json, err);
	arena_done(&arena);
	return r;
}

int verb_reload(int argc, char *argv[], struct error *err)
{
	_free_ char *reply = NULL;
	struct arena arena = { 0 };
	struct options options = { 0 };
	int r = read_options(&arena, argc, argv, NULL, 0, &options, err);

	if (r == 1)
		r = ask("reload", &reply, err);
	if (r == 0 && reply)
		r = reply_print(reply, stdout, err);
	arena_done(&arena);
	return r;
}

int verb_log_level(int argc, char *argv[], struct error *err)
{
	_free_ char *reply = NULL;
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
		r = ask(request, &reply, err);
	}
	arena_done(&arena);
	return r;
}
