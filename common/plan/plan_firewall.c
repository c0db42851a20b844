/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

#include "common/base/strbuf.h"

/*
 * What the host's own packet filter will make of the redirect. It judges packets after their
 * destination was changed: whatever port a client asked for, a redirected connection arrives at the
 * port of the inbound redirect. Rules that name ports then no longer mean what they meant. What rules
 * keep from being tracked (CT --notrack, NOTRACK, nft's notrack) meets no nat: it is not redirected, or
 * its answers are not changed back.
 */

#define RULES_MAX  8  /* told one by one */
#define RANGES_MAX 16 /* of their ports */

/* One chain under examination. */
struct exam {
	struct planner *p;
	const struct filter_chain *chain;
	struct string_list said; /* rules */
};

/* Where nothing is known of the port, or it is none (0), a step of which there is nothing to say. */
static const struct filter_step *step_of(const struct filter_chain *chain, unsigned port)
{
	static const struct filter_step unknown = { .to = UINT16_MAX,
						    .named = true,
						    .direct.fate = FILTER_ACCEPTS,
						    .redirected.fate = FILTER_ACCEPTS };
	size_t lo = 0, hi = chain->n;

	while (lo < hi)
		if (chain->items[(lo + hi) / 2].to < port)
			lo = (lo + hi) / 2 + 1;
		else
			hi = (lo + hi) / 2;
	return lo < chain->n && port != 0 ? &chain->items[lo] : &unknown;
}

static bool is_redirected(const struct exam *e, unsigned port)
{
	const struct plan *plan = e->p->plan;

	if (e->chain->topic == TRACKING_DNS)
		return port == DNS_PORT;
	if (e->chain->topic == TRACKING_OUTBOUND)
		return planner_takes(&plan->outbound, (uint16_t)port);
	return planner_redirects(e->p, (uint16_t)port) &&
	       (e->chain->topic == TRACKING_INBOUND || port != plan->inbound.port);
}

/* Whether the other chains let the port pass, redirected or not. */
static bool others_let_in(const struct exam *e, unsigned port, bool redirected)
{
	const struct facts_firewall *firewall = &e->p->facts->firewall;

	for (size_t i = 0; i < firewall->n; i++) {
		const struct filter_chain *chain = &firewall->items[i];
		const struct filter_step *step = step_of(chain, port);

		if (chain != e->chain && chain->topic == FILTER_INBOUND &&
		    chain->family == e->chain->family &&
		    (redirected ? step->redirected : step->direct).fate == FILTER_DROPS)
			return false;
	}
	return true;
}

/* The rule that means something else from now on for redirected ports of the step, or keeps them from
 * being tracked; NULL: none does. */
static const char *rule_of(const struct exam *e, const struct filter_step *step)
{
	enum filter_fate before = step->direct.fate, after = step->redirected.fate;

	if (e->chain->topic != FILTER_INBOUND)
		return before == FILTER_ACCEPTS ? NULL : step->direct.rule;
	if (before == after || !step->named ||
	    (before < after && (before == FILTER_MAY_ACCEPT || after == FILTER_MAY_ACCEPT)))
		return NULL;
	/* A rule for all ports but some lets those in by not applying to them. */
	return step->direct.rule ? step->direct.rule : step->redirected.rule;
}

/* The same for the port; NULL also where it is not redirected. */
static const char *rule_at(const struct exam *e, unsigned port)
{
	const struct filter_step *step = step_of(e->chain, port);
	const char *rule = rule_of(e, step);
	bool opens = step->direct.fate < step->redirected.fate;

	if (!rule || !is_redirected(e, port) ||
	    (e->chain->topic == FILTER_INBOUND && !others_let_in(e, port, opens)))
		return NULL;
	return rule;
}

/* All ports for which it does, "80, 9000-9100". */
static void add_ports(const struct exam *e, const char *rule, struct strbuf *ret)
{
	unsigned ranges = 0;

	for (unsigned port = 1, to; port <= UINT16_MAX; port = to + 1) {
		to = port;
		if (rule_at(e, port) != rule)
			continue;
		if (++ranges > RANGES_MAX) {
			strbuf_add(ret, " and others");
			return;
		}
		while (rule_at(e, to + 1) == rule)
			to++;
		strbuf_addf(ret, "%s%u", ranges > 1 ? ", " : "", port);
		if (to > port)
			strbuf_addf(ret, "-%u", to);
	}
}

/* The rule that judges a redirected connection by the port that was asked for. */
static const char *cure(const struct exam *e, unsigned port, bool accept)
{
	static const char *const verdicts[][2] = { { "DROP", "ACCEPT" }, { "drop", "accept" } };
	const struct filter_chain *chain = e->chain;

	return arena_printf(
		e->p->arena,
		chain->nft ? "%s tcp dport %u ct status dnat ct original proto-dst %u %s"
			   : "%s -p tcp --dport %u -m conntrack --ctstate DNAT "
			     "--ctorigdstport %u -j %s",
		chain->add, e->p->plan->inbound.port, port, verdicts[chain->nft][accept]);
}

static void say_of_rule(const struct exam *e, unsigned port, const char *rule)
{
	const struct filter_step *step = step_of(e->chain, port);
	bool accepts = step->direct.fate > step->redirected.fate;
	const char *turns = step->direct.fate == FILTER_DROPS ? "turns" : "may turn";
	_strbuf_ struct strbuf text = { 0 };
	const char *ports;
	bool many;

	add_ports(e, rule, &text);
	ports = strbuf_text(&text);
	many = strpbrk(ports, ",-");
	if (e->chain->topic == TRACKING_DNS)
		say(e->p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for DNS queries of this host: they are not "
		    "redirected, and names of the mesh do not resolve",
		    rule, turns);
	else if (e->chain->topic != FILTER_INBOUND)
		say(e->p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for %s TCP connections (port %s): they are not "
		    "redirected and go past the mesh, or get no answer",
		    rule, turns, e->chain->topic == TRACKING_INBOUND ? "inbound" : "outbound",
		    ports);
	else
		say(e->p, HOST_WARNING, NULL,
		    "%s %s port%s %s by number, but redirected connections arrive at port %u and "
		    "%s; \"ct status dnat\" with the port that was asked for keeps its effect: "
		    "%s%s",
		    rule, accepts ? "lets in" : "keeps out", many ? "s" : "", ports,
		    e->p->plan->inbound.port, accepts ? "are dropped" : "get through",
		    cure(e, port, accepts), many ? " (and so for the others)" : "");
}

/* Once for each rule. */
static void examine_port(struct exam *e, unsigned port)
{
	const char *rule = rule_at(e, port);

	for (size_t i = 0; i < e->said.n; i++)
		if (e->said.items[i] == rule)
			return;
	if (!rule)
		return;
	array_push(e->p->arena, &e->said, rule);
	if (e->said.n <= RULES_MAX)
		say_of_rule(e, port, rule);
}

/* Whether the chain drops what the mesh sends to the port. */
static bool examine_mesh_port(struct exam *e, unsigned port)
{
	const struct filter_step *step = step_of(e->chain, port);
	const char *by;

	if (!is_redirected(e, port) ||
	    (step->redirected.fate != FILTER_DROPS && step->redirected.fate >= step->direct.fate))
		return false;
	by = step->redirected.fate == FILTER_MAY_DROP ? step->redirected.rule
						      : step->redirected.end;
	say(e->p, HOST_WARNING, NULL,
	    "%s drops inbound mesh traffic: redirected connections arrive at port %u, which "
	    "%s%s; port %u needs a rule as: %s",
	    e->chain->name, e->p->plan->inbound.port, by ? by : "no rule opens",
	    by ? " keeps out" : "", port, cure(e, port, true));
	return true;
}

/* Ports that nobody names: closed now, open once everything arrives at one port that is open. */
static void examine_closed(struct exam *e, unsigned sample)
{
	const struct filter_step *step = step_of(e->chain, sample);

	if (step->direct.fate != FILTER_DROPS || step->redirected.fate < FILTER_MAY_DROP ||
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

/* The first redirected port that no rule names; 0: there is none. */
static unsigned sample_port(const struct exam *e)
{
	for (unsigned port = 1; port <= UINT16_MAX; port++)
		if (!step_of(e->chain, port)->named && is_redirected(e, port))
			return port;
	return 0;
}

static void examine_ports(struct exam *e)
{
	for (unsigned port = 1; port <= UINT16_MAX; port++) {
		const struct filter_step *step = step_of(e->chain, port);

		if (rule_of(e, step))
			examine_port(e, port);
		else
			port = step->to;
	}
}

/* The Dataplane's inbounds, or where they are not known any port; then all others. */
static void examine_filter(struct exam *e)
{
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;
	uint16_t end = e->chain->n ? e->chain->items[e->chain->n - 1].to : UINT16_MAX;
	unsigned sample = sample_port(e);
	bool told = inbounds->n == 0 && examine_mesh_port(e, sample);

	for (size_t i = 0; i < inbounds->n && !told; i++)
		told = examine_mesh_port(e, inbounds->items[i]);
	for (size_t i = 0; i < inbounds->n; i++)
		examine_port(e, inbounds->items[i]);
	examine_ports(e);
	if (e->said.n > RULES_MAX)
		say(e->p, HOST_WARNING, NULL, "%zu more rules of %s are in the same case",
		    e->said.n - RULES_MAX, e->chain->name);
	if (end < UINT16_MAX)
		say(e->p, HOST_NOTICE, NULL,
		    "%s: its rules name too many ports to examine those above %u", e->chain->name,
		    end);
	examine_closed(e, sample);
}

void plan_firewall(struct planner *p)
{
	const struct facts_firewall *firewall = &p->facts->firewall;

	for (enum filter_topic topic = 0; topic < FILTER_TOPICS; topic++) {
		struct exam e = { .p = p };

		for (size_t i = 0; i < firewall->n; i++) {
			const struct filter_chain *chain = &firewall->items[i];
			const struct plan_family *family = &p->plan->family[chain->family];
			/* Chains for both families are examined once, unless only the second is
			 * redirected. */
			bool again = e.chain && strcmp(e.chain->name, chain->name) == 0;

			if (chain->topic != topic || !family->enabled ||
			    (topic == TRACKING_DNS && !family->dns))
				continue;
			e.chain = chain;
			if (topic != FILTER_INBOUND)
				examine_ports(&e);
			else if (p->plan->inbound.enabled && !again) {
				e.said.n = 0;
				examine_filter(&e);
			}
		}
	}
}
