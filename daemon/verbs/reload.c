/* SPDX-License-Identifier: GPL-2.0-or-later */

/* reload: asks the running daemon, waits for the outcome and prints it. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "daemon/load/options.h"
#include "daemon/operator/control.h"
#include "daemon/operator/log.h"
#include "daemon/os/io.h"
#include "daemon/verbs/verbs.h"

static void print_messages(const json_t *answer)
{
	const json_t *message;
	size_t i;

	json_array_foreach(json_object_get(answer, "messages"), i, message)
	{
		if (json_is_string(message))
			io_print_line(stderr, json_string_value(message));
	}
}

/* "Reloaded (generation 3): the rules change", and what has led to it below. */
static void print_outcome(const json_t *answer, bool dry)
{
	const char *text = json_string_value(json_object_get(answer, "text"));
	const char *note = json_string_value(json_object_get(answer, "note"));
	const json_t *change;
	size_t i;

	if (dry)
		printf("A reload would have this effect: ");
	else
		printf("Reloaded (generation %" JSON_INTEGER_FORMAT "): ",
		       json_integer_value(json_object_get(answer, "generation")));
	printf("%s%s%s\n", text ? text : "it is not said what", note ? "; " : "", note ? note : "");
	json_array_foreach(json_object_get(answer, "changes"), i, change)
	{
		if (json_is_string(change)) {
			printf("  ");
			io_print_line(stdout, json_string_value(change));
		}
	}
}

/* Returns the exit status that the daemon gives. */
static int tell(const char *reply, bool dry, struct error *err)
{
	json_auto_t *answer = json_loads(reply, 0, NULL);
	const char *why = json_string_value(json_object_get(answer, "error"));
	json_int_t status = json_integer_value(json_object_get(answer, "exit-status"));

	if (!json_is_object(answer))
		return error_set(err, -EPROTO, "tproxyd's answer is not a JSON object");
	print_messages(answer);
	if (json_is_true(json_object_get(answer, "ok"))) {
		print_outcome(answer, dry);
		return EXIT_SUCCESS;
	}
	log_error(NULL, "Not reloaded: %s", why ? why : "the daemon does not say why");
	return status > 0 && status < 128 ? (int)status : EXIT_FAILURE;
}

int verb_reload(int argc, char *argv[], struct error *err)
{
	bool dry = false, confirm = false;
	const struct option_row rows[] = {
		{ "confirm", &confirm,
		  "Go back to the former configuration unless \"tproxyd confirm\" is run within "
		  "safety.confirm, or 60s where that is 0s." },
		{ "dry-run", &dry, "Say what would change, and change nothing." },
	};
	const struct command_line line = { argc, argv, OPTIONS_NONE, rows, ELEMENTS(rows), NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	_free_ char *reply = NULL;
	int r = options_load(&arena, &line, &options, err);

	if (r != 0)
		return verb_end("reload", r, err);
	r = control_call(CONTROL_SOCKET,
			 dry       ? "reload dry-run"
			 : confirm ? "reload confirm"
				   : "reload",
			 0, &reply, err);
	if (r == CONTROL_NOBODY)
		return error_set(err, -ESRCH, "tproxyd is not running");
	return r < 0 ? r : tell(reply, dry, err);
}
