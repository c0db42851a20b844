/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/loop/status.h"

#include <string.h>
#include <unistd.h>

#include "common/config/schema.h"
#include "daemon/loop/state.h"
#include "daemon/operator/json.h"
#include "daemon/operator/log.h"

static void print_child(const struct proc *proc, struct strbuf *out)
{
	json_open(out, proc->name, '{');
	json_string(out, "state", proc_state_name(proc->state));
	json_number(out, "pid", (uint64_t)proc->process->pid);
	json_close(out, '}');
}

static void print_rules(struct daemon *d, struct strbuf *out)
{
	enum level applied = situation_of(d)->applied;
	enum level level = applied == LEVEL_UNKNOWN ? LEVEL_NONE : applied;
	const struct generation *generation = d->applied ? d->applied : d->current;
	struct redirect *redirect = &d->redirect;
	struct snapshot snapshot = { 0 };
	struct error err = { 0 };

	json_open(out, "rules", '{');
	json_string(out, "backend", redirect->backend->name);
	json_string(out, "level", level_name(applied));
	if (redirect->backend->read(redirect->nf, &generation->rules[level], &redirect->record,
				    &snapshot, &err) < 0) {
		json_string(out, "error", err.text);
		json_close(out, '}');
		return;
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		json_open(out, family_name((enum family)f), '{');
		for (unsigned t = 0; t < TABLE_COUNT; t++) {
			const struct snapshot_table *table = &snapshot.table[f][t];

			json_open(out, table_name((enum table)t), '{');
			json_number(out, "rules", table->rules);
			json_number(out, "expected", table->expected);
			json_bool(out, "as-expected", table->equal);
			json_number(out, "packets", table->packets);
			json_number(out, "bytes", table->bytes);
			json_close(out, '}');
		}
		json_close(out, '}');
	}
	json_close(out, '}');
}

void status_print(struct daemon *d, struct strbuf *out)
{
	const struct plan *plan = &d->current->plan;

	json_open(out, NULL, '{');
	json_bool(out, "ok", true);
	json_string(out, "phase", phase_name(d->carry.said));
	json_string(out, "status", d->status);
	json_number(out, "pid", (uint64_t)getpid());
	json_number(out, "uptime-seconds", (d->ops->now(d) - d->carry.started_usec) / 1000000);
	json_number(out, "generation", d->current->number);
	json_string(out, "log-level", log_level_names[log_get_level()]);
	json_open(out, "user", '{');
	json_string(out, "name", plan->user.name);
	json_number(out, "uid", plan->user.uid);
	json_close(out, '}');
	json_open(out, "processes", '{');
	for (size_t i = 0; i < d->n_children; i++)
		print_child(&d->child[i].proc, out);
	if (d->probe.envoy > 0) {
		json_open(out, "envoy", '{');
		json_number(out, "pid", (uint64_t)d->probe.envoy);
		json_close(out, '}');
	}
	json_close(out, '}');
	json_open(out, "readiness", '{');
	json_bool(out, "envoy", d->probe.last.admin);
	json_bool(out, "listeners", d->probe.last.listeners);
	json_bool(out, "dns", d->probe.last.dns);
	json_string(out, "missing", d->probe.last.missing);
	json_close(out, '}');
	print_rules(d, out);
	json_close(out, '}');
}

static void refuse(struct strbuf *reply, const char *sentence)
{
	json_open(reply, NULL, '{');
	json_bool(reply, "ok", false);
	json_string(reply, "error", sentence);
	json_close(reply, '}');
}

static void set_log_level(const char *name, struct strbuf *reply)
{
	for (size_t i = 0; log_level_names[i]; i++) {
		if (strcmp(log_level_names[i], name) != 0)
			continue;
		log_set_level((enum log_level)i);
		json_open(reply, NULL, '{');
		json_bool(reply, "ok", true);
		json_string(reply, "log-level", name);
		json_close(reply, '}');
		return;
	}
	refuse(reply, "the level is one of error, warning, notice, info, debug");
}

void status_answer(const char *request, const char *argument, struct strbuf *reply, void *userdata)
{
	struct daemon *d = userdata;

	if (strcmp(request, "status") == 0)
		status_print(d, reply);
	else if (strcmp(request, "log-level") == 0)
		set_log_level(argument, reply);
	else if (strcmp(request, "reload") == 0)
		refuse(reply,
		       "reload is not built yet: restart the service to apply a changed configuration");
	else
		refuse(reply, "the requests are status, reload and log-level");
}
