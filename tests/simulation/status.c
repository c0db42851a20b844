/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The operator asks for the status: what it says, in its first line, its exit status and its members, is
 * what there is. Processes are those of this world, not of /proc: status_processes.c has no part
 * in it (the linker's --wrap).
 */

#include <string.h>

#include "common/report/report.h"
#include "daemon/loop/status.h"
#include "tests/simulation/world.h"

int __wrap_status_add_processes(json_t *answer, struct daemon *d);

int __wrap_status_add_processes(json_t *answer, _unused_ struct daemon *d)
{
	return json_object_set_new(answer, "processes", json_object());
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static const json_t *part(const json_t *status, const char *object, const char *name)
{
	return json_object_get(json_object_get(status, object), name);
}

/* What is redirected in full, and as it was put in; where the kernel tells. */
static bool redirects_wholly(const struct world *w)
{
	return w->kernel.level == LEVEL_FULL && w->kernel.edit == EDIT_NONE &&
	       w->now >= w->kernel.blind_until;
}

static void answer_is_true(struct world *w, const json_t *status)
{
	static const struct {
		const char *line;
		enum level low, high;
	} rows[] = {
		{ "Redirecting ", LEVEL_FULL, LEVEL_FULL },
		{ "Degraded ", LEVEL_NO_DNS, LEVEL_FULL },
		{ "Holding ", LEVEL_NO_DNS, LEVEL_FULL },
		{ "Released ", LEVEL_NONE, LEVEL_DRAIN },
	};
	_strbuf_ struct strbuf text = { 0 };
	const char *phase = text_of(status, "phase");
	int exit_status = report_exit_status(status);
	bool redirecting = strcmp(phase, "redirecting") == 0;

	report_text(status, false, &text);
	for (size_t i = 0; i < ELEMENTS(rows); i++)
		if (strncmp(strbuf_text(&text), rows[i].line, strlen(rows[i].line)) == 0 &&
		    (w->kernel.level < rows[i].low || w->kernel.level > rows[i].high))
			fail(w, "the status begins with \"%s\", and %s is in", rows[i].line,
			     level_name(w->kernel.level));
	if (redirecting != (strncmp(strbuf_text(&text), rows[0].line, strlen(rows[0].line)) == 0))
		fail(w, "the phase is \"%s\", and the first line is another", phase);
	if (exit_status != (redirecting && redirects_wholly(w) ? 0 : 4))
		fail(w, "the status exits with %d and says \"%s\"; %s is in%s", exit_status, phase,
		     level_name(w->kernel.level), redirects_wholly(w) ? "" : ", or not wholly");
	if ((exit_status == 0) != (*text_of(status, "problem") == '\0'))
		fail(w, "the status exits with %d, and its problem is \"%s\"", exit_status,
		     text_of(status, "problem"));
}

static void rules_are_true(struct world *w, const json_t *status)
{
	const char *level = json_string_value(part(status, "rules", "level"));

	if (!level ||
	    (strcmp(level, level_name(w->kernel.level)) != 0 && strcmp(level, "unknown") != 0))
		fail(w, "the status says that level %s is in, and %s is", level ? level : "-",
		     level_name(w->kernel.level));
	/* Rules of an unknown level are compared with those of none. */
	if (json_is_true(part(status, "rules", "as-expected")) && w->kernel.level != LEVEL_NONE &&
	    !(w->kernel.edit == EDIT_NONE && w->now >= w->kernel.blind_until))
		fail(w,
		     "the status says that the rules are as expected, and others have changed them");
}

/* No longer than is set, and none where nothing is waited for. */
static void times_are_true(struct world *w, const json_t *status)
{
	const json_t *hold = json_object_get(status, "hold"),
		     *drain = json_object_get(status, "drain"),
		     *open = part(status, "traffic", "open-connections");
	const json_t *left = json_object_get(hold, "seconds-left");
	uint64_t most = (uint64_t)json_integer_value(left) * SECOND;

	if (json_is_object(hold) != (strcmp(text_of(status, "phase"), "holding") == 0))
		fail(w, "the status says for how long it holds, or does not, in phase \"%s\"",
		     text_of(status, "phase"));
	if (json_is_object(hold) && json_is_integer(left) != (w->setup.hold_usec != USEC_NEVER))
		fail(w, "the status says for how long it holds, and that is not so");
	if (json_is_integer(left) && most >= w->setup.hold_usec + SECOND)
		fail(w, "the status says that it holds for %.0f s; %.3f s are set",
		     (double)most / SECOND, (double)w->setup.hold_usec / SECOND);
	left = json_object_get(drain, "seconds-left");
	if (json_integer_value(left) > (json_int_t)(w->bounds.drain_usec / SECOND) + 1)
		fail(w, "the status says that it drains for %lld s", json_integer_value(left));
	if (w->now < w->uncountable_until ? !json_is_null(open)
					  : (size_t)json_integer_value(open) != w->connections)
		fail(w, "the status does not say how many connections are open");
}

void oracle_status(struct world *w)
{
	json_t *status = status_answer("status", "", &w->d);

	if (!status)
		fail(w, "the status is not answered");
	tell(w, "the status: %s, %s is in, \"%s\"", text_of(status, "phase"),
	     json_string_value(part(status, "rules", "level")), text_of(status, "problem"));
	answer_is_true(w, status);
	rules_are_true(w, status);
	times_are_true(w, status);
	json_decref(status);
}
