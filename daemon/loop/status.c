/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is answered on the control socket. */

#include "daemon/loop/status.h"

#include <string.h>
#include <unistd.h>

#include "common/config/schema.h"
#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"

static json_t *readiness(const struct daemon *d)
{
	const struct probe_result *last = &d->probe.last;

	return json_pack("{s:b,s:b,s:b,s:o}", "envoy", last->admin, "listeners", last->listeners,
			 "dns", last->dns, "missing", json_text(last->missing));
}

/* "IPv4", "IPv6": what is redirected where all is well. */
static json_t *families(const struct plan *plan)
{
	json_t *all = json_array();

	for (enum family f = 0; f < FAMILY_COUNT; f++)
		if (plan->family[f].enabled &&
		    json_array_append_new(all, json_string(family_name(f))) < 0) {
			json_decref(all);
			return NULL;
		}
	return all;
}

/* What is true now. */
static json_t *status(struct daemon *d)
{
	static int (*const parts[])(json_t * answer, struct daemon * d) = {
		status_add_processes,
		status_add_origin,
		status_add_rules,
		status_add_verdict,
	};
	json_auto_t *answer = json_pack(
		"{s:b,s:s,s:I,s:o,s:o,s:i,s:o,s:i,s:i,s:o,s:s,s:o,s:o,s:o}", "ok", 1, "phase",
		phase_name(d->phase.is), "since", (json_int_t)d->phase.since_sec, "seconds",
		status_age(d, d->phase.since_usec), "status", json_text(d->status), "pid",
		(int)getpid(), "uptime-seconds", status_age(d, d->carry.started_usec), "generation",
		(int)d->current->number, "generation-applied",
		(int)situation_of(d)->applied_generation, "generation-waiting",
		d->next ? json_integer(d->next->number) : json_null(), "log-level",
		log_level_names[log_get_level()], "families", families(&d->current->plan),
		"readiness", readiness(d), "confirmation", confirm_status(d));

	for (size_t i = 0; i < ELEMENTS(parts); i++)
		if (!answer || parts[i](answer, d) < 0)
			return NULL;
	return take_ptr(answer);
}

static json_t *set_log_level(const char *name)
{
	for (size_t i = 0; log_level_names[i]; i++) {
		if (strcmp(log_level_names[i], name) != 0)
			continue;
		log_set_level((enum log_level)i);
		return json_pack("{s:b,s:s}", "ok", 1, "log-level", name);
	}
	return json_refusal("the level is one of error, warning, notice, info, debug");
}

static json_t *reload(struct daemon *d, const char *how)
{
	static const char *const hows[] = {
		[RELOAD_DRY] = "dry-run",
		[RELOAD_ASKED] = "",
		[RELOAD_GUARDED] = "confirm",
	};
	enum reload_kind kind = 0;
	json_t *answer = NULL;

	while (kind < ELEMENTS(hows) && strcmp(how, hows[kind]) != 0)
		kind++;
	if (kind == ELEMENTS(hows))
		return json_refusal("a reload takes no argument but dry-run and confirm");
	if (daemon_reload(d, kind, &answer))
		d->reload.ticket = control_defer(d->control);
	return answer;
}

static json_t *reexec(struct daemon *d)
{
	json_t *answer = NULL;

	if (daemon_reexec(d, &answer))
		d->reexec.ticket = control_defer(d->control);
	return answer;
}

json_t *status_answer(const char *request, const char *argument, void *userdata)
{
	if (strcmp(request, "status") == 0)
		return status(userdata);
	if (strcmp(request, "log-level") == 0)
		return set_log_level(argument);
	if (strcmp(request, "confirm") == 0)
		return confirm_answer(userdata);
	if (strcmp(request, "reload") == 0)
		return reload(userdata, argument);
	if (strcmp(request, "reexec") == 0)
		return reexec(userdata);
	return json_refusal("the requests are status, reload, reexec, confirm and log-level");
}
