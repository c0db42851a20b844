/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

/*
 * Rules of others that turn connection tracking off (CT --notrack, NOTRACK, nft's notrack). What is
 * not tracked meets no nat: it is not redirected, or its answers are not changed back.
 */

#define RULES_MAX  8  /* told one by one */
#define RANGES_MAX 16 /* of their ports */

static bool is_redirected(const struct planner *p, const struct facts_firewall *of, uint16_t port)
{
	const struct plan_direction *out = &p->plan->outbound;

	if (of == &p->facts->tracking.inbound)
		return planner_redirects(p, port);
	if (of == &p->facts->tracking.dns)
		return port == DNS_PORT;
	return out->enabled && (out->include_ports.n ? planner_lists(&out->include_ports, port)
						     : !planner_lists(&out->exclude_ports, port));
}

/* The last redirected port of a step, whose first port is given; 0: there is none. */
static uint16_t last_redirected(const struct planner *p, const struct facts_firewall *of,
				uint16_t first, uint16_t to)
{
	for (uint16_t port = to; port >= first && port > 0; port--)
		if (is_redirected(p, of, port))
			return port;
	return 0;
}

/* The redirected ports that a rule keeps from being tracked, "80, 9000-9100"; "" for none. */
static const char *ports_of(struct planner *p, const struct facts_firewall *of,
			    const struct filter_steps *steps, const char *rule)
{
	const char *text = "";
	unsigned n = 0, first = 1;

	for (size_t i = 0; i < steps->n && text; first = steps->items[i++].to + 1U) {
		const struct filter_step *step = &steps->items[i];
		uint16_t last = last_redirected(p, of, (uint16_t)first, step->to);

		if (step->direct.fate == FILTER_ACCEPTS || step->direct.rule != rule || !last ||
		    n++ > RANGES_MAX)
			continue;
		if (n > RANGES_MAX)
			text = arena_printf(p->arena, "%s and others", text);
		else if (first < last)
			text = arena_printf(p->arena, "%s%s%u-%u", text, n > 1 ? ", " : "", first,
					    last);
		else
			text = arena_printf(p->arena, "%s%s%u", text, n > 1 ? ", " : "", last);
	}
	return text ? text : "";
}

static void warn(struct planner *p, const struct facts_firewall *of,
		 const struct filter_outcome *outcome, const char *ports)
{
	const char *turns = outcome->fate == FILTER_DROPS ? "turns" : "may turn";

	if (of == &p->facts->tracking.dns)
		say(p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for DNS queries of this host: they are not "
		    "redirected, and names of the mesh do not resolve",
		    outcome->rule, turns);
	else
		say(p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for %s TCP connections (port %s): they are not "
		    "redirected and go past the mesh, or get no answer",
		    outcome->rule, turns,
		    of == &p->facts->tracking.inbound ? "inbound" : "outbound", ports);
}

static void examine(struct planner *p, const struct facts_firewall *of,
		    const struct filter_steps *steps, struct string_list *said)
{
	for (size_t i = 0; i < steps->n; i++) {
		const struct filter_outcome *outcome = &steps->items[i].direct;
		const char *ports;
		bool told = said->n >= RULES_MAX;

		for (size_t k = 0; k < said->n && outcome->rule; k++)
			told |= strcmp(said->items[k], outcome->rule) == 0;
		if (outcome->fate == FILTER_ACCEPTS || !outcome->rule || told)
			continue;
		ports = ports_of(p, of, steps, outcome->rule);
		if (!*ports)
			continue;
		array_push(p->arena, said, outcome->rule);
		warn(p, of, outcome, ports);
	}
}

void plan_tracking(struct planner *p)
{
	const struct facts_tracking *t = &p->facts->tracking;
	const struct facts_firewall *const all[] = { &t->inbound, &t->outbound, &t->dns };

	for (size_t i = 0; i < ELEMENTS(all); i++) {
		struct string_list said = { 0 };

		for (enum family f = 0; f < FAMILY_COUNT; f++)
			for (size_t k = 0; k < all[i]->n && p->plan->family[f].enabled; k++)
				if (all[i] != &t->dns || p->plan->family[f].dns)
					examine(p, all[i], &all[i]->items[k].family[f], &said);
	}
}
