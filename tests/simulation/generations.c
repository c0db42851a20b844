/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Generations of a configuration without files: made once, used again and again. Their rules and
 * commands are a number each; what has the same number is the same.
 */

#include <errno.h>
#include <stdlib.h>

#include "tests/simulation/world.h"

/* current, applied, next, the one that takes its place, one that a reload only looks at, one that
 * comes back where nobody confirms, and what that may need. */
#define GENERATIONS 8

static struct slot_of_generation {
	struct generation g;
	struct chain chain;
	char chain_name[16], argument[CHILD_COUNT][16];
	const char *argv[CHILD_COUNT][3];
} slots[GENERATIONS];

/* Nobody frees what has a reference too many. */
static bool in_use(const struct slot_of_generation *slot)
{
	return slot->g.references > 1;
}

unsigned generations_in_use(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < GENERATIONS; i++)
		n += in_use(&slots[i]);
	return n;
}

/* Their number; it is odd where they redirect DNS. */
unsigned rules_number(const struct ruleset *rules)
{
	return (unsigned)atoi(rules->family[FAMILY_V4].table[TABLE_NAT].chains->name);
}

unsigned rules_next(struct world *w, bool dns)
{
	return ++w->last_number * 2 + dns;
}

static uint64_t usec(int64_t nsec)
{
	return nsec == DURATION_INFINITY ? USEC_NEVER : (uint64_t)nsec / 1000;
}

void generation_taken(struct world *w)
{
	const struct generation *g = latest_of(&w->d);
	const struct plan *plan = &g->plan;
	struct setup *setup = &w->setup, *bounds = &w->bounds;

	if (g->number == w->taken)
		return;
	w->taken = g->number;
	/* A start has its time anew. */
	for (size_t i = 0; i < CHILD_COUNT && !w->memory.reached; i++)
		w->memory.useless[i].on = false;
	setup->rules = rules_number(&g->rules[LEVEL_FULL]);
	for (size_t i = 0; i < CHILD_COUNT; i++)
		setup->command[i] = (unsigned)atoi(g->command[i].argv.items[1]);
	setup->hold_usec = usec(plan->hold_nsec);
	setup->delay_usec = usec(plan->restart_delay_nsec);
	setup->max_delay_usec = usec(plan->restart_max_delay_nsec);
	setup->drain_usec = usec(plan->children.drain_time_nsec);
	if (setup->drain_usec > bounds->drain_usec)
		bounds->drain_usec = setup->drain_usec;
	if (setup->max_delay_usec > bounds->max_delay_usec)
		bounds->max_delay_usec = setup->max_delay_usec;
}

static int64_t nsec(uint64_t usec)
{
	return usec == USEC_NEVER ? DURATION_INFINITY : (int64_t)usec * 1000;
}

static void set_plan(struct plan *plan, const struct setup *setup)
{
	plan->user.uid = setup->uid;
	plan->dns_port = 15053;
	plan->family[FAMILY_V4].enabled = true;
	plan->family[FAMILY_V6].enabled = setup->v6;
	plan->family[FAMILY_V4].dns = setup->rules % 2;
	plan->inbound.enabled = plan->outbound.enabled = true;
	plan->hold_nsec = nsec(setup->hold_usec);
	plan->readiness_timeout_nsec = nsec(setup->readiness_usec);
	plan->readiness_interval_nsec = nsec(setup->interval_usec);
	plan->restart_delay_nsec = nsec(setup->delay_usec);
	plan->restart_max_delay_nsec = nsec(setup->max_delay_usec);
	plan->children.drain_time_nsec = nsec(setup->drain_usec);
	plan->confirm_nsec = nsec(setup->confirm_usec);
}

static void set_rules(struct slot_of_generation *slot, const struct setup *setup)
{
	(void)snprintf(slot->chain_name, sizeof(slot->chain_name), "%u", setup->rules);
	slot->chain = (struct chain){ .name = slot->chain_name };
	for (enum level level = 0; level < LEVEL_COUNT; level++) {
		struct ruleset *rules = &slot->g.rules[level];

		rules->level = level;
		rules->loopback = "lo";
		rules->loopback_v6 = setup->v6 && level != LEVEL_NONE;
		rules->family[FAMILY_V4].enabled = true;
		rules->family[FAMILY_V4].table[TABLE_NAT] =
			(struct table_rules){ &slot->chain, level != LEVEL_NONE };
	}
}

static void set_commands(struct slot_of_generation *slot, const struct setup *setup)
{
	static const char *const command_names[] = { "kuma-dp", "coredns" };

	for (size_t i = 0; i < CHILD_COUNT; i++) {
		struct command *command = &slot->g.command[i];

		*command = (struct command){ .name = command_names[i] };
		if (i == CHILD_KUMA_DP || setup->core_dns)
			command->path = command_names[i];
		(void)snprintf(slot->argument[i], sizeof(slot->argument[i]), "%u",
			       setup->command[i]);
		slot->argv[i][0] = command_names[i];
		slot->argv[i][1] = slot->argument[i];
		command->argv = (struct string_list){ slot->argv[i], 2 };
		command_digest(command, slot->g.digest[i]);
	}
}

/* Every setting at its default: only what the plan has of them is another here. */
static void set_config(struct generation *g)
{
	static struct loaded defaults;
	static struct arena arena;
	struct diag_list diags = { .arena = &arena };

	if (!arena.head && layers_load(&arena, &(struct layers){ 0 }, &defaults, &diags) < 0)
		fail(the_world, "the settings have no defaults");
	g->options.loaded = defaults;
}

struct generation *generation_made(struct world *w, const struct setup *setup)
{
	struct slot_of_generation *slot = slots;
	struct generation *g;

	while (slot < slots + GENERATIONS && in_use(slot))
		slot++;
	if (slot == slots + GENERATIONS)
		fail(w, "a generation is not given back");
	g = &slot->g;
	arena_done(&g->arena);
	g->references = 2;
	g->number = w->d.current ? latest_of(&w->d)->number + 1 : 1;
	g->cause = "It was read again";
	g->options.diags = (struct diag_list){ .arena = &g->arena };
	set_config(g);
	set_plan(&g->plan, setup);
	set_rules(slot, setup);
	set_commands(slot, setup);
	return g;
}

int generation_read(struct world *w, struct generation **ret, struct error *err)
{
	if (chance(w, 5))
		return error_set(err, -EIO, "nothing can be read");
	*ret = generation_made(w, &w->read);
	if (w->invalid)
		diag_add(&(*ret)->options.diags, SEVERITY_ERROR, NULL, "redirect.dns.port",
			 "70000 is not a port");
	return 0;
}
