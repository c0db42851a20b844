/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/config/schema.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"

static json_t *processes(const struct daemon *d)
{
	json_auto_t *all = json_object();

	for (size_t i = 0; i < d->n_children; i++)
		if (json_object_set_new(all, d->child[i].proc.name,
					json_pack("{s:s,s:i}", "state",
						  proc_state_name(d->child[i].proc.state), "pid",
						  (int)d->carry.child[i].pid)) < 0)
			return NULL;
	if (d->probe.envoy > 0 &&
	    json_object_set_new(all, "envoy", json_pack("{s:i}", "pid", (int)d->probe.envoy)) < 0)
		return NULL;
	return take_ptr(all);
}

static json_t *table_rules(const struct snapshot_table *table)
{
	return json_pack("{s:i,s:i,s:b,s:I,s:I}", "rules", (int)table->rules, "expected",
			 (int)table->expected, "as-expected", table->equal, "packets",
			 (json_int_t)table->packets, "bytes", (json_int_t)table->bytes);
}

/* The rules per family and table as they are in the kernel. */
static json_t *rules(struct daemon *d)
{
	enum level applied = situation_of(d)->applied;
	enum level level = applied == LEVEL_UNKNOWN ? LEVEL_NONE : applied;
	const struct generation *generation = d->applied ? d->applied : d->current;
	const struct redirect *redirect = &d->redirect;
	struct snapshot snapshot = { 0 };
	struct error err = { 0 };
	json_auto_t *all = json_pack("{s:s,s:s}", "backend", redirect->backend->name, "level",
				     level_name(applied));

	if (redirect->backend->read(&generation->rules[level], &redirect->record, &snapshot, &err) <
	    0)
		return json_object_set_new(all, "error", json_text(err.text)) < 0 ? NULL
										  : take_ptr(all);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		json_t *family = json_object();

		if (json_object_set_new(all, family_name(f), family) < 0)
			return NULL;
		for (enum table t = 0; t < TABLE_COUNT; t++)
			if (json_object_set_new(family, table_name(t),
						table_rules(&snapshot.table[f][t])) < 0)
				return NULL;
	}
	return take_ptr(all);
}

/* The ports that are left out for SSH, and why. */
static json_t *ssh_ports(const struct generation *generation)
{
	const struct ssh_port_list *found = &generation->facts.ssh_ports;
	json_auto_t *all = json_object();
	char port[8];

	for (size_t i = 0; i < found->n; i++) {
		(void)snprintf(port, sizeof(port), "%u", found->items[i].port);
		if (generation->plan.ssh_ports.n &&
		    json_object_set_new(all, port, json_text(found->items[i].why)) < 0)
			return NULL;
	}
	return take_ptr(all);
}

/* What is true now. */
static json_t *status(struct daemon *d)
{
	const struct plan *plan = &d->current->plan;
	const struct probe_result *last = &d->probe.last;

	return json_pack(
		"{s:b,s:s,s:o,s:i,s:I,s:i,s:s,s:{s:o,s:I},s:o,s:{s:b,s:b,s:b,s:o},s:o,s:o,s:o,s:o}",
		"ok", 1, "phase", phase_name(d->carry.said), "status", json_text(d->status), "pid",
		(int)getpid(), "uptime-seconds",
		(json_int_t)((d->ops->now(d) - d->carry.started_usec) / 1000000), "generation",
		(int)d->current->number, "log-level", log_level_names[log_get_level()], "user",
		"name", json_text(plan->user.name), "uid", (json_int_t)plan->user.uid, "processes",
		processes(d), "readiness", "envoy", last->admin, "listeners", last->listeners,
		"dns", last->dns, "missing", json_text(last->missing), "ssh-ports",
		ssh_ports(d->current), "confirmation", confirm_status(d), "token", token_status(d),
		"rules", rules(d));
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
	return json_refusal("the requests are status, reload, confirm and log-level");
}
