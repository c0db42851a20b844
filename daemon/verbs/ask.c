/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that ask the running daemon: status, reload, log-level. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/config/schema.h"
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
		{ "json", &json, "Print the daemon's answer as it is." },
	};
	const struct command_line line = { argc, argv, OPTIONS_NONE, rows, ELEMENTS(rows), NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	return r == 0 ? ask_and_print("status", json, err) : verb_end("status", r, err);
}

int verb_reload(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_NONE, NULL, 0, NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	return r == 0 ? ask_and_print("reload", false, err) : verb_end("reload", r, err);
}

int verb_log_level(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_NONE, NULL, 0, log_level_names };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	char request[64];
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("log-level", r, err);
	(void)snprintf(request, sizeof(request), "log-level %s", log_level_names[options.choice]);
	return ask_and_print(request, false, err);
}
