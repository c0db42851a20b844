/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

/*
 * What the host's own firewall will make of the redirect. It judges packets after their destination
 * was changed: whatever port a client asked for, a redirected connection arrives at the port of the
 * inbound redirect. Rules that name ports then no longer mean what they meant.
 */

#define RULES_MAX  8  /* told one by one, per chain */
#define RANGES_MAX 16 /* of their ports */

/* One chain under examination. */
struct exam {
	struct planner *p;
	const struct filter_chain *chain;
	enum family family;
	const struct filter_steps *steps; /* of the chain in this family */
	struct string_list said;          /* rules */
};

static bool is_redirected(const struct planner *p, uint16_t port)
{
	return port != p->plan->inbound.port && planner_redirects(p, port);
}

/* NULL: nothing is known of the port, or it is none (0). */
static const struct filter_step *step_of(const struct filter_steps *steps, uint16_t port)
{
	for (size_t i = 0; i < steps->n && port != 0; i++)
		if (port <= steps->items[i].to)
			return &steps->items[i];
	return NULL;
}

/* The first port of the n-th step that is redirected; 0: none is. */
static uint16_t first_port(const struct exam *e, size_t n)
{
	for (uint32_t port = n > 0 ? e->steps->items[n - 1].to + 1U : 1;
	     port <= e->steps->items[n].to; port++)
		if (is_redirected(e->p, (uint16_t)port))
			return (uint16_t)port;
	return 0;
}

/* The last one of those that follow it without a gap. */
static uint16_t last_port(const struct exam *e, size_t n)
{
	uint16_t port = first_port(e, n);

	while (port < e->steps->items[n].to && is_redirected(e->p, (uint16_t)(port + 1)))
		port++;
	return port;
}

/* Whether the other chains let the port pass, redirected or not. */
static bool others_let_in(const struct exam *e, uint16_t port, bool redirected)
{
	const struct facts_firewall *firewall = &e->p->facts->firewall;

	for (size_t i = 0; i < firewall->n; i++) {
		const struct filter_step *step =
			step_of(&firewall->items[i].family[e->family], port);

		if (&firewall->items[i] != e->chain && step &&
		    (redirected ? step->redirected : step->direct).fate == FILTER_DROPS)
			return false;
	}
	return true;
}

/* The rule that judges a redirected connection by the port that was asked for. */
static const char *cure(const struct exam *e, uint16_t port, bool accept)
{
	const struct filter_chain *chain = e->chain;
	unsigned to = e->p->plan->inbound.port;
	const char *text;

	if (chain->nft)
		text = arena_printf(e->p->arena,
				    "%s tcp dport %u ct status dnat ct original proto-dst %u %s",
				    chain->add, to, port, accept ? "accept" : "drop");
	else
		text = arena_printf(e->p->arena,
				    "%s -p tcp --dport %u -m conntrack --ctstate DNAT "
				    "--ctorigdstport %u -j %s",
				    chain->add, to, port, accept ? "ACCEPT" : "DROP");
	return text ? text : "";
}

/* The rule that means something else from now on for the ports of a step; NULL: none does. */
static const char *changed_rule(const struct exam *e, const struct filter_step *step, uint16_t port)
{
	enum filter_fate before = step->direct.fate, after = step->redirected.fate;

	if (!step->named || port == 0 || before == after)
		return NULL;
	if (before < after && (before == FILTER_MAY_ACCEPT || after == FILTER_MAY_ACCEPT))
		return NULL;
	if (!others_let_in(e, port, before < after))
		return NULL;
	/* A rule for all ports but some lets those in by not applying to them. */
	return step->direct.rule ? step->direct.rule : step->redirected.rule;
}

/* All ports for which the rule means something else, "80, 9000-9100". */
static const char *ports_of(const struct exam *e, const char *rule, uint16_t asked)
{
	const char *text = "";
	unsigned n = 0;

	for (size_t i = 0; i < e->steps->n; i++) {
		const struct filter_step *step = &e->steps->items[i];
		uint16_t port = first_port(e, i);

		if (changed_rule(e, step, port) != rule || n++ > RANGES_MAX)
			continue;
		if (n > RANGES_MAX)
			text = arena_printf(e->p->arena, "%s and others", text);
		else if (port == last_port(e, i))
			text = arena_printf(e->p->arena, "%s%s%u", text, n > 1 ? ", " : "", port);
		else
			text = arena_printf(e->p->arena, "%s%s%u-%u", text, n > 1 ? ", " : "", port,
					    last_port(e, i));
		if (!text)
			return "";
	}
	/* Another chain may judge the first of them otherwise. */
	return *text ? text : arena_printf(e->p->arena, "%u", asked);
}

/* Once for each rule. */
static void examine_port(struct exam *e, uint16_t port)
{
	const struct filter_step *step = step_of(e->steps, port);
	const char *rule = step ? changed_rule(e, step, port) : NULL;
	const char *ports, *many;
	bool accepts;

	for (size_t i = 0; i < e->said.n; i++)
		if (e->said.items[i] == rule)
			return;
	if (!rule)
		return;
	array_push(e->p->arena, &e->said, rule);
	if (e->said.n > RULES_MAX)
		return;
	accepts = step->direct.fate > step->redirected.fate;
	ports = ports_of(e, rule, port);
	many = strpbrk(ports ? ports : "", ",-");
	say(e->p, HOST_WARNING, NULL,
	    "%s %s port%s %s by number, but redirected connections arrive at port %u and "
	    "%s; \"ct status dnat\" with the port that was asked for keeps its effect: "
	    "%s%s",
	    rule, accepts ? "lets in" : "keeps out", many ? "s" : "", ports ? ports : "",
	    e->p->plan->inbound.port, accepts ? "are dropped" : "get through",
	    cure(e, port, accepts), many ? " (and so for the others)" : "");
}

/* The Dataplane's inbounds, then all others by the first of each step. */
static void examine_ports(struct exam *e)
{
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;

	for (size_t i = 0; i < inbounds->n; i++)
		if (is_redirected(e->p, inbounds->items[i]))
			examine_port(e, inbounds->items[i]);
	for (size_t i = 0; i < e->steps->n; i++)
		examine_port(e, first_port(e, i));
	if (e->said.n > RULES_MAX)
		say(e->p, HOST_WARNING, NULL, "%zu more rules of %s are in the same case",
		    e->said.n - RULES_MAX, e->chain->name);
	if (e->steps->items[e->steps->n - 1].to < UINT16_MAX)
		say(e->p, HOST_NOTICE, NULL,
		    "%s: its rules name too many ports to examine those above %u", e->chain->name,
		    e->steps->items[e->steps->n - 1].to);
}

/* Whether the chain drops what the mesh sends to the port. */
static bool examine_mesh_port(struct exam *e, uint16_t port)
{
	const struct filter_step *step = step_of(e->steps, port);
	const char *by = step ? step->redirected.end : NULL;

	if (!step ||
	    (step->redirected.fate != FILTER_DROPS && step->redirected.fate >= step->direct.fate))
		return false;
	if (step->redirected.fate == FILTER_MAY_DROP)
		by = step->redirected.rule;
	say(e->p, HOST_WARNING, NULL,
	    "%s drops inbound mesh traffic: redirected connections arrive at port %u, which "
	    "%s%s; port %u needs a rule as: %s",
	    e->chain->name, e->p->plan->inbound.port, by ? by : "no rule opens",
	    by ? " keeps out" : "", port, cure(e, port, true));
	return true;
}

/* The Dataplane's inbounds, or where they are not known any port. */
static void examine_mesh(struct exam *e, uint16_t sample)
{
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;
	bool told = false;

	for (size_t i = 0; i < inbounds->n && !told; i++)
		told = is_redirected(e->p, inbounds->items[i]) &&
		       examine_mesh_port(e, inbounds->items[i]);
	if (inbounds->n == 0)
		(void)examine_mesh_port(e, sample);
}

/* Ports that nobody names: closed now, open once everything arrives at one port that is open. */
static void examine_closed(struct exam *e, uint16_t sample)
{
	const struct filter_step *step = step_of(e->steps, sample);

	if (!step || step->direct.fate != FILTER_DROPS || step->redirected.fate < FILTER_MAY_DROP ||
	    !others_let_in(e, sample, true))
		return;
	say(e->p, HOST_WARNING, NULL,
	    "%s keeps out ports that it does not name, but lets in what is redirected "
	    "(%s): every TCP port on which an application listens can be reached through "
	    "the proxy; a rule in front that names the ports that were asked for keeps "
	    "them closed: %s",
	    e->chain->name, step->redirected.end ? step->redirected.end : "its policy",
	    e->chain->nft ? "ct status dnat ct original proto-dst != { … } drop"
			  : "-m conntrack --ctstate DNAT ! --ctorigdstport … -j DROP");
}

/* Chains for both families are examined once, unless only the second is redirected. */
static void examine_chain(struct planner *p, const struct filter_chain *chain)
{
	struct exam e = { .p = p, .chain = chain };
	uint16_t sample = 0;

	while (e.family < FAMILY_COUNT &&
	       (!p->plan->family[e.family].enabled || chain->family[e.family].n == 0))
		e.family++;
	if (e.family == FAMILY_COUNT)
		return;
	e.steps = &chain->family[e.family];
	for (size_t i = 0; i < e.steps->n && sample == 0; i++)
		if (!e.steps->items[i].named)
			sample = first_port(&e, i);
	examine_mesh(&e, sample);
	examine_ports(&e);
	examine_closed(&e, sample);
}

void plan_firewall(struct planner *p)
{
	const struct facts_firewall *firewall = &p->facts->firewall;

	for (size_t i = 0; i < firewall->n && p->plan->inbound.enabled; i++)
		examine_chain(p, &firewall->items[i]);
}
