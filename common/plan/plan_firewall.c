/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/filter.h"
#include "common/plan/planner.h"

/*
 * What the host's own firewall will make of the redirect. It judges packets after their destination
 * was changed: whatever port a client asked for, a redirected connection arrives at the port of the
 * inbound redirect. Rules that name ports then no longer mean what they meant.
 */

#define RULES_MAX 8   /* named one by one, per chain */
#define PORTS_MAX 512 /* examined, per chain: each is a walk through all rules */

/* One base chain under examination. */
struct exam {
	struct planner *p;
	const struct filter_chain *chain;
	enum family family;
	const struct filter_rule *said[RULES_MAX];
	size_t n_said, n_more, n_examined;
};

static bool listed(const uint16_t *ports, size_t n, uint16_t port)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i] == port)
			return true;
	return false;
}

static bool is_redirected(const struct planner *p, uint16_t port)
{
	const struct plan *plan = p->plan;
	const struct plan_direction *inbound = &plan->inbound;

	if (port == inbound->port || listed(plan->ssh_ports.items, plan->ssh_ports.n, port))
		return false;
	if (inbound->include_ports.n)
		return listed(inbound->include_ports.items, inbound->include_ports.n, port);
	return !listed(inbound->exclude_ports.items, inbound->exclude_ports.n, port);
}

static struct filter_outcome outcome(const struct exam *e, const struct filter_chain *chain,
				     uint16_t port, bool redirected)
{
	const struct filter_packet packet = {
		.family = e->family,
		.port = redirected ? e->p->plan->inbound.port : port,
		.original = port,
		.redirected = redirected,
	};

	return filter_walk(&e->p->facts->firewall, chain, &packet);
}

/* Whether anything gets through. */
static bool lets_in(const struct filter_outcome *o)
{
	return !o->drops || o->may_accept;
}

/* Whether the other chains let the port pass, redirected or not. */
static bool others_let_in(const struct exam *e, uint16_t port, bool redirected)
{
	const struct facts_firewall *firewall = &e->p->facts->firewall;

	for (size_t i = 0; i < firewall->n; i++) {
		const struct filter_chain *chain = &firewall->items[i];
		struct filter_outcome o;

		if (chain == e->chain || !chain->base || !chain->family[e->family])
			continue;
		o = outcome(e, chain, port, redirected);
		if (!lets_in(&o))
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

/* Whether the rule names another port that is redirected. */
static bool names_more(const struct exam *e, const struct filter_ports *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->n && !ports->negated; i++)
		for (uint32_t other = ports->items[i].lo; other <= ports->items[i].hi; other++)
			if (other != port && is_redirected(e->p, (uint16_t)other))
				return true;
	return false;
}

static void say_rule(struct exam *e, const struct filter_rule *rule, uint16_t port, bool accepts)
{
	bool more = names_more(e, &rule->port, port);

	for (size_t i = 0; i < e->n_said; i++)
		if (e->said[i] == rule)
			return;
	if (e->n_said == RULES_MAX) {
		e->n_more++;
		return;
	}
	e->said[e->n_said++] = rule;
	say(e->p, HOST_WARNING, NULL,
	    "%s %s port %u%s by number, but redirected connections arrive at port %u and %s; "
	    "\"ct status dnat\" with the port that was asked for keeps its effect: %s%s",
	    rule->name, accepts ? "lets in" : "keeps out", port, more ? " and others" : "",
	    e->p->plan->inbound.port, accepts ? "are dropped" : "get through",
	    cure(e, port, accepts), more ? " (and so for the others)" : "");
}

/* Whether a rule that speaks of ports keeps the packet out, or all that is not let in. */
static bool keeps_out(const struct filter_outcome *o)
{
	if (o->drops)
		return !o->may_accept_by_name;
	return o->may_drop_by_name;
}

/* One port that a rule names. */
static void examine_port(struct exam *e, uint16_t port)
{
	struct filter_outcome before = outcome(e, e->chain, port, false);
	struct filter_outcome after = outcome(e, e->chain, port, true);
	const struct filter_rule *rule = before.by;

	/* A rule for all ports but some lets those in by not applying to them. */
	if (!rule && after.by && after.by->port.negated)
		rule = after.by;
	if (!rule || !is_redirected(e->p, port))
		return;
	if (lets_in(&before) && !before.may_drop_by_name && keeps_out(&after) &&
	    (!after.may_accept || !before.drops)) {
		if (others_let_in(e, port, false))
			say_rule(e, rule, port, true);
	} else if (keeps_out(&before) && !after.drops && !after.may_drop_by_name) {
		if (others_let_in(e, port, true))
			say_rule(e, rule, port, false);
	}
}

static void examine_ports(struct exam *e, const struct filter_ports *ports)
{
	for (size_t i = 0; i < ports->n && e->n_examined++ < PORTS_MAX; i++) {
		uint32_t port = ports->items[i].lo;

		while (port < ports->items[i].hi && !is_redirected(e->p, (uint16_t)port))
			port++;
		examine_port(e, (uint16_t)port);
	}
}

/* The Dataplane's inbounds; then every range of a rule by its first port that is redirected. */
static void examine_rules(struct exam *e)
{
	const struct facts_firewall *firewall = &e->p->facts->firewall;
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;

	if (e->chain->n == 0)
		return;
	for (size_t i = 0; i < inbounds->n; i++)
		if (is_redirected(e->p, inbounds->items[i]))
			examine_port(e, inbounds->items[i]);
	for (size_t c = 0; c < firewall->n; c++)
		for (size_t i = 0; i < firewall->items[c].n; i++)
			examine_ports(e, &firewall->items[c].items[i].port);
	if (e->n_more)
		say(e->p, HOST_WARNING, NULL, "%zu more ports of rules of %s are in the same case",
		    e->n_more, e->chain->name);
	if (e->n_examined > PORTS_MAX)
		say(e->p, HOST_NOTICE, NULL,
		    "%s: its rules name too many ports to examine more than the first %u",
		    e->chain->name, (unsigned)PORTS_MAX);
}

static bool is_named(const struct facts_firewall *firewall, uint16_t port)
{
	for (size_t c = 0; c < firewall->n; c++)
		for (size_t i = 0; i < firewall->items[c].n; i++) {
			const struct filter_ports *ports = &firewall->items[c].items[i].port;

			for (size_t k = 0; k < ports->n; k++)
				if (port >= ports->items[k].lo && port <= ports->items[k].hi)
					return true;
		}
	return false;
}

/* A redirected port that no rule names; 0: there is none. */
static uint16_t sample_port(const struct exam *e)
{
	for (uint16_t port = 1; port < 32768; port++)
		if (is_redirected(e->p, port) && !is_named(&e->p->facts->firewall, port))
			return port;
	return 0;
}

/* Whether the chain drops what the mesh sends to the port. */
static bool examine_mesh_port(struct exam *e, uint16_t port)
{
	struct filter_outcome before = outcome(e, e->chain, port, false);
	struct filter_outcome after = outcome(e, e->chain, port, true);
	const struct filter_rule *by = after.drops ? after.end : after.by;

	if (lets_in(&after) && (before.drops || keeps_out(&before) || !keeps_out(&after)))
		return false;
	say(e->p, HOST_WARNING, NULL,
	    "%s drops inbound mesh traffic: redirected connections arrive at port %u, which "
	    "%s%s; port %u needs a rule as: %s",
	    e->chain->name, e->p->plan->inbound.port, by ? by->name : "no rule opens",
	    by ? " keeps out" : "", port, cure(e, port, true));
	return true;
}

/* The Dataplane's inbounds, or where they are not known any port. */
static void examine_mesh(struct exam *e, uint16_t sample)
{
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;
	bool told = false;

	for (size_t i = 0; i < inbounds->n && !told; i++)
		if (is_redirected(e->p, inbounds->items[i]))
			told = examine_mesh_port(e, inbounds->items[i]);
	if (inbounds->n == 0 && sample != 0)
		(void)examine_mesh_port(e, sample);
}

/* Ports that nobody names: closed now, open once everything arrives at one port that is open. */
static void examine_closed(struct exam *e, uint16_t sample)
{
	struct filter_outcome before, after;

	if (sample == 0)
		return;
	before = outcome(e, e->chain, sample, false);
	after = outcome(e, e->chain, sample, true);
	if (lets_in(&before) || after.drops || !others_let_in(e, sample, true))
		return;
	say(e->p, HOST_WARNING, NULL,
	    "%s keeps out ports that it does not name, but lets in what is redirected (%s): every "
	    "TCP port on which an application listens can be reached through the proxy; a rule in "
	    "front that names the ports that were asked for keeps them closed: %s",
	    e->chain->name, after.end ? after.end->name : "its policy",
	    e->chain->nft ? "ct status dnat ct original proto-dst != { … } drop"
			  : "-m conntrack --ctstate DNAT ! --ctorigdstport … -j DROP");
}

/* Chains for both families are examined once, unless only the second is redirected. */
static bool examined_before(const struct planner *p, const struct filter_chain *chain,
			    enum family family)
{
	for (enum family f = 0; f < family; f++)
		if (chain->family[f] && p->plan->family[f].enabled)
			return true;
	return false;
}

void plan_firewall(struct planner *p)
{
	const struct facts_firewall *firewall = &p->facts->firewall;

	if (!p->plan->inbound.enabled)
		return;
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		for (size_t i = 0; i < firewall->n; i++) {
			const struct filter_chain *chain = &firewall->items[i];
			struct exam e = { .p = p, .chain = chain, .family = family };
			uint16_t sample;

			if (!p->plan->family[family].enabled || !chain->base ||
			    !chain->family[family] || examined_before(p, chain, family))
				continue;
			sample = sample_port(&e);
			examine_mesh(&e, sample);
			examine_rules(&e);
			examine_closed(&e, sample);
		}
	}
}
