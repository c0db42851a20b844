/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

#include "daemon/loop/state.h"
#include "daemon/loop/status.h"

static json_t *table_rules(const struct snapshot_table *table)
{
	return json_pack("{s:i,s:i,s:b,s:I,s:I}", "rules", (int)table->rules, "expected",
			 (int)table->expected, "as-expected", table->equal, "packets",
			 (json_int_t)table->packets, "bytes", (json_int_t)table->bytes);
}

/* "IPv4 nat (22 rules instead of 23)": one that is not as it should be. */
static int add_missing(json_t *missing, enum family f, enum table t,
		       const struct snapshot_table *table)
{
	char text[128];

	if (table->equal)
		return 0;
	if (table->rules == table->expected)
		(void)snprintf(text, sizeof(text), "%s %s (%u rules, changed)", family_name(f),
			       table_name(t), table->rules);
	else
		(void)snprintf(text, sizeof(text), "%s %s (%u rules instead of %u)", family_name(f),
			       table_name(t), table->rules, table->expected);
	return json_array_append_new(missing, json_string(text));
}

static int add_tables(json_t *rules, json_t *missing, const struct snapshot *snapshot)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		json_t *family = json_object();

		if (json_object_set_new(rules, family_name(f), family) < 0)
			return -1;
		for (enum table t = 0; t < TABLE_COUNT; t++)
			if (json_object_set_new(family, table_name(t),
						table_rules(&snapshot->table[f][t])) < 0 ||
			    add_missing(missing, f, t, &snapshot->table[f][t]) < 0)
				return -1;
	}
	return 0;
}

static uint64_t redirected_to(const struct snapshot_traffic *traffic, uint16_t port)
{
	for (size_t i = 0; i < ELEMENTS(traffic->redirected) && port; i++)
		if (traffic->redirected[i].port == port)
			return traffic->redirected[i].n;
	return 0;
}

/* Redirected connections that are open now; null where they cannot be counted. */
static json_t *open_connections(struct daemon *d, const struct plan *plan)
{
	const uint16_t ports[] = { plan->inbound.port, plan->outbound.port };
	struct error err;
	size_t n = 0;

	if (d->ops->connections(ports, ELEMENTS(ports), plan->user.uid, &n, &err) < 0)
		return json_null();
	return json_integer((json_int_t)n);
}

static json_t *traffic(struct daemon *d, const struct plan *plan, const struct snapshot *snapshot)
{
	const struct snapshot_traffic *t = &snapshot->traffic;

	return json_pack("{s:I,s:I,s:I,s:I,s:o}", "outbound-connections",
			 (json_int_t)redirected_to(t, plan->outbound.port), "inbound-connections",
			 (json_int_t)redirected_to(t, plan->inbound.port), "dns-queries",
			 (json_int_t)redirected_to(t, plan->dns_port), "excluded-connections",
			 (json_int_t)t->excluded, "open-connections", open_connections(d, plan));
}

/* How often what others had changed was put right. */
static json_t *repairs(struct daemon *d)
{
	const struct repairs *made = &d->drift.repairs;

	return json_pack("{s:I,s:o,s:b}", "count", (json_int_t)made->n, "seconds-ago",
			 status_age(d, made->last_usec), "contested",
			 repairs_fight(made, d->ops->now(d)));
}

int status_add_rules(json_t *answer, struct daemon *d)
{
	enum level applied = situation_of(d)->applied;
	enum level level = applied == LEVEL_UNKNOWN ? LEVEL_NONE : applied;
	const struct generation *generation = d->applied ? d->applied : d->current;
	const struct redirect *redirect = &d->redirect;
	const char *why = d->current->plan.backend_why, *limit = d->current->plan.backend_limit;
	struct snapshot snapshot = { 0 };
	struct error err = { 0 };
	json_t *missing = json_array(), *rules = json_object();
	int r = json_object_set_new(answer, "rules", rules);

	if (redirect->backend->read(&generation->rules[level], &redirect->record, &snapshot, &err) <
	    0)
		snapshot = (struct snapshot){ 0 };
	else if (r == 0)
		r = add_tables(rules, missing, &snapshot);
	if (r < 0 ||
	    json_object_set_new(rules, "backend", json_string(redirect->backend->name)) < 0 ||
	    json_object_set_new(rules, "backend-reason", json_text(why ? why : "")) < 0 ||
	    json_object_set_new(rules, "backend-limit", json_text(limit ? limit : "")) < 0 ||
	    json_object_set_new(rules, "level", json_string(level_name(applied))) < 0 ||
	    json_object_set_new(rules, "as-expected",
				json_boolean(!err.code && json_array_size(missing) == 0)) < 0 ||
	    json_object_set(rules, "missing", missing) < 0 ||
	    json_object_set_new(rules, "repairs", repairs(d)) < 0 ||
	    json_object_set_new(rules, "error", json_text(err.code ? err.text : "")) < 0)
		r = -1;
	json_decref(missing);
	if (r < 0)
		return -1;
	return json_object_set_new(answer, "traffic", traffic(d, &generation->plan, &snapshot));
}
