/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that ask the running daemon for a change: reexec, confirm, log-level. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/config/schema.h"
#include "daemon/operator/control.h"
#include "daemon/load/options.h"
#include "daemon/os/io.h"
#include "daemon/verbs/verbs.h"

#define ANSWER_USEC ((uint64_t)5 * 1000 * 1000)
#define REEXEC_USEC \
	((uint64_t)30 * 1000 * 1000) /* the new one is tried first, and gets going then */

static void print_value(const json_t *value)
{
	putchar(' ');
	if (json_is_string(value))
		io_print_line(stdout, json_string_value(value));
	else if (json_is_boolean(value))
		printf("%s\n", json_is_true(value) ? "true" : "false");
	else
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
}

/* The depth is what the daemon wrote. */
static void print_object(json_t *object, int indent)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (indent == 0 && strcmp(name, "ok") == 0)
			continue;
		printf("%*s%s:", indent, "", name);
		if (json_is_object(value)) {
			putchar('\n');
			print_object(value, indent + 2);
		} else {
			print_value(value);
		}
	}
}

int verb_ask(const char *request, uint64_t timeout_usec, json_t **ret, struct error *err)
{
	_free_ char *reply = NULL;
	json_auto_t *object = NULL;
	int r = control_call(CONTROL_SOCKET, request, timeout_usec, &reply, err);
	const char *why;

	if (r != 0)
		return r;
	object = json_loads(reply, 0, NULL);
	if (!json_is_object(object))
		return error_set(err, -EPROTO, "tproxyd's answer is not a JSON object");
	if (!json_is_true(json_object_get(object, "ok"))) {
		why = json_string_value(json_object_get(object, "error"));
		return error_set(err, -EIO, "%s", why ? why : "it does not say why");
	}
	*ret = take_ptr(object);
	return 0;
}

/* The same of a daemon that has to run. */
static int ask(const char *request, uint64_t timeout_usec, json_t **ret, struct error *err)
{
	int r = verb_ask(request, timeout_usec, ret, err);

	return r == CONTROL_NOBODY ? error_set(err, -ESRCH, "tproxyd is not running") : r;
}

/* Asks and prints the answer, a line per member without "ok". */
static int ask_and_print(const char *request, struct error *err)
{
	json_auto_t *object = NULL;
	int r = ask(request, ANSWER_USEC, &object, err);

	if (r == 0)
		print_object(object, 0);
	return r;
}

int verb_reexec(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_NONE, NULL, 0, NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	json_auto_t *answer = NULL;
	struct options options;
	const char *text;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("reexec", r, err);
	r = ask("reexec", REEXEC_USEC, &answer, err);
	if (r < 0)
		return r;
	text = json_string_value(json_object_get(answer, "text"));
	io_print_line(stdout, text ? text : "tproxyd has replaced itself");
	return 0;
}

int verb_confirm(int argc, char *argv[], struct error *err)
{
	const struct command_line line = { argc, argv, OPTIONS_NONE, NULL, 0, NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	int r = options_load(&arena, &line, &options, err);

	return r == 0 ? ask_and_print("confirm", err) : verb_end("confirm", r, err);
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
	return ask_and_print(request, err);
}
