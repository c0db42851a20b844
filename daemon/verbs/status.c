/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/report/report.h"
#include "daemon/load/options.h"
#include "daemon/operator/control.h"
#include "daemon/verbs/left.h"
#include "daemon/verbs/verbs.h"

#define ANSWER_USEC ((uint64_t)5 * 1000 * 1000)
#define WATCH_SEC   2

enum form {
	FORM_TEXT,
	FORM_JSON,
	FORM_METRICS,
};

struct request {
	bool json, metrics, watch;
};

/* We are the version that is installed; another one may run. */
static void add_installed(json_t *status)
{
	json_t *versions = json_object_get(status, "versions");
	const char *runs = json_string_value(json_object_get(versions, "tproxyd"));

	if (runs && strcmp(runs, TPROXYD_VERSION) != 0)
		(void)json_object_set_new(versions, "installed", json_string(TPROXYD_VERSION));
}

/* Asks the daemon, or looks what is left where none answers. The status is to be freed. */
static int ask(json_t **ret, struct error *err)
{
	int r = verb_ask("status", ANSWER_USEC, ret, err);

	if (r == CONTROL_NOBODY)
		return left_status(ret, err);
	if (r == 0)
		add_installed(*ret);
	return r;
}

static void print(const json_t *status, enum form form, struct strbuf *out)
{
	const char *no_color = getenv("NO_COLOR");
	_free_ char *json = NULL;

	switch (form) {
	case FORM_TEXT:
		report_text(status, isatty(STDOUT_FILENO) && !(no_color && *no_color), out);
		break;
	case FORM_JSON:
		json = json_dumps(status, JSON_INDENT(2));
		if (json)
			strbuf_addf(out, "%s\n", json);
		else
			out->failed = true;
		break;
	case FORM_METRICS:
		report_metrics(status, out);
		break;
	}
}

/* Once; the screen is cleared first where it is one and is to be drawn again. Returns the exit
 * status. */
static int show(enum form form, bool again, struct error *err)
{
	_strbuf_ struct strbuf out = { 0 };
	json_auto_t *status = NULL;
	int r = ask(&status, err);

	if (r < 0)
		return r;
	if (again)
		strbuf_add(&out, isatty(STDOUT_FILENO) ? "\033[H\033[2J" : "");
	print(status, form, &out);
	r = verb_print(&out, err);
	return r < 0 ? r : report_exit_status(status);
}

/* What was written is written, and nothing is to be undone. */
static void on_end(_unused_ int sig)
{
	_exit(EXIT_SUCCESS);
}

/* Until it is interrupted. A daemon that is busy for a while does not end it. */
static int watch(enum form form, struct error *err)
{
	const struct sigaction end = { .sa_handler = on_end };
	int r;

	if (sigaction(SIGINT, &end, NULL) < 0 || sigaction(SIGTERM, &end, NULL) < 0)
		return error_sys(err, -errno, "watch");
	while ((r = show(form, true, err)) >= 0 || r == -ETIMEDOUT)
		(void)sleep(WATCH_SEC);
	return r;
}

int verb_status(int argc, char *argv[], struct error *err)
{
	struct request request = { 0 };
	const struct option_row rows[] = {
		{ "json", &request.json, "Print all that is known as JSON." },
		{ "metrics", &request.metrics,
		  "Print metrics for node_exporter's textfile collector (OpenMetrics)." },
		{ "watch", &request.watch, "Print it again every 2 s, until it is interrupted." },
	};
	const struct command_line line = { argc, argv, OPTIONS_NONE, rows, ELEMENTS(rows), NULL };
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct options options;
	enum form form;
	int r = options_load(&arena, &line, &options, err);

	if (r == 0 && request.json && request.metrics) {
		(void)error_set(err, -EINVAL, "only one of --json and --metrics can be given");
		r = OPTIONS_USAGE;
	}
	if (r != 0)
		return verb_end("status", r, err);
	form = request.json ? FORM_JSON : request.metrics ? FORM_METRICS : FORM_TEXT;
	return request.watch ? watch(form, err) : show(form, false, err);
}
