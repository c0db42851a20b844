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

/* NULL: nothing is known of the port, or it is none (0). */
static const struct filter_step *step_of(const struct filter_chain *chain, uint16_t port)
{
	size_t lo = 0, hi = chain->n;

	while (lo < hi) {
		size_t middle = (lo + hi) / 2;

		if (chain->items[middle].to < port)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo < chain->n && port != 0 ? &chain->items[lo] : NULL;
}

static bool is_redirected(const struct exam *e, uint16_t port)
{
	const struct plan_direction *out = &e->p->plan->outbound;

	if (e->chain->topic == TRACKING_DNS)
		return port == DNS_PORT;
	if (e->chain->topic != TRACKING_OUTBOUND)
		return planner_redirects(e->p, port) &&
		       (e->chain->topic == TRACKING_INBOUND || port != e->p->plan->inbound.port);
	return out->enabled && (out->include_ports.n ? planner_lists(&out->include_ports, port)
						     : !planner_lists(&out->exclude_ports, port));
}

/* Whether the other chains let the port pass, redirected or not. */
static bool others_let_in(const struct exam *e, uint16_t port, bool redirected)
{
	const struct facts_firewall *firewall = &e->p->facts->firewall;

	for (size_t i = 0; i < firewall->n; i++) {
		const struct filter_chain *chain = &firewall->items[i];
		const struct filter_step *step = step_of(chain, port);

		if (chain != e->chain && chain->topic == FILTER_INBOUND &&
		    chain->family == e->chain->family && step &&
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
	if (!step->named || before == after ||
	    (before < after && (before == FILTER_MAY_ACCEPT || after == FILTER_MAY_ACCEPT)))
		return NULL;
	/* A rule for all ports but some lets those in by not applying to them. */
	return step->direct.rule ? step->direct.rule : step->redirected.rule;
}

static const char *rule_at(const struct exam *e, uint16_t port)
{
	const struct filter_step *step = step_of(e->chain, port);
	const char *rule = step ? rule_of(e, step) : NULL;
	bool opens = rule && step->direct.fate < step->redirected.fate;

	if (!rule || !is_redirected(e, port) ||
	    (e->chain->topic == FILTER_INBOUND && !others_let_in(e, port, opens)))
		return NULL;
	return rule;
}

/* All ports for which it does, "80, 9000-9100". */
static const char *ports_of(const struct exam *e, const char *rule)
{
	_strbuf_ struct strbuf text = { 0 };
	unsigned ranges = 0;
	const char *ret;

	for (uint32_t port = 1, from = 0; port <= UINT16_MAX + 1 && ranges <= RANGES_MAX; port++) {
		bool is = rule_at(e, (uint16_t)port) == rule;

		if (is && from == 0)
			from = port;
		if (is || from == 0)
			continue;
		if (++ranges > RANGES_MAX)
			strbuf_add(&text, " and others");
		else if (from == port - 1)
			strbuf_addf(&text, "%s%u", ranges > 1 ? ", " : "", from);
		else
			strbuf_addf(&text, "%s%u-%u", ranges > 1 ? ", " : "", from, port - 1);
		from = 0;
	}
	ret = arena_strdup(e->p->arena, strbuf_text(&text));
	return ret ? ret : "";
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

static void say_changed(const struct exam *e, const struct filter_step *step, const char *rule,
			uint16_t port)
{
	bool accepts = step->direct.fate > step->redirected.fate;
	const char *ports = ports_of(e, rule);
	bool many = strpbrk(ports, ",-");

	say(e->p, HOST_WARNING, NULL,
	    "%s %s port%s %s by number, but redirected connections arrive at port %u and "
	    "%s; \"ct status dnat\" with the port that was asked for keeps its effect: "
	    "%s%s",
	    rule, accepts ? "lets in" : "keeps out", many ? "s" : "", ports,
	    e->p->plan->inbound.port, accepts ? "are dropped" : "get through",
	    cure(e, port, accepts), many ? " (and so for the others)" : "");
}

static void say_untracked(const struct exam *e, const struct filter_step *step, const char *rule)
{
	const char *turns = step->direct.fate == FILTER_DROPS ? "turns" : "may turn";

	if (e->chain->topic == TRACKING_DNS)
		say(e->p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for DNS queries of this host: they are not "
		    "redirected, and names of the mesh do not resolve",
		    rule, turns);
	else
		say(e->p, HOST_WARNING, NULL,
		    "%s %s connection tracking off for %s TCP connections (port %s): they are not "
		    "redirected and go past the mesh, or get no answer",
		    rule, turns, e->chain->topic == TRACKING_INBOUND ? "inbound" : "outbound",
		    ports_of(e, rule));
}

/* Once for each rule. */
static void examine_port(struct exam *e, uint16_t port)
{
	const struct filter_step *step = step_of(e->chain, port);
	const char *rule = rule_at(e, port);

	for (size_t i = 0; i < e->said.n; i++)
		if (e->said.items[i] == rule)
			return;
	if (!step || !rule)
		return;
	array_push(e->p->arena, &e->said, rule);
	if (e->said.n > RULES_MAX)
		return;
	if (e->chain->topic == FILTER_INBOUND)
		say_changed(e, step, rule, port);
	else
		say_untracked(e, step, rule);
}

/* Whether the chain drops what the mesh sends to the port. */
static bool examine_mesh_port(struct exam *e, uint16_t port)
{
	const struct filter_step *step = step_of(e->chain, port);
	const char *by;

	if (!step || !is_redirected(e, port) ||
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
static void examine_closed(struct exam *e, uint16_t sample)
{
	const struct filter_step *step = step_of(e->chain, sample);

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

/* The first redirected port that no rule names; 0: there is none. */
static uint16_t sample_port(const struct exam *e)
{
	const struct filter_step *step;

	for (uint16_t port = 1; (step = step_of(e->chain, port)); port++)
		if (!step->named && is_redirected(e, port))
			return port;
	return 0;
}

/* Returns the first port of which nothing is known. */
static uint32_t examine_ports(struct exam *e)
{
	const struct filter_step *step;
	uint32_t port = 1;

	for (; (step = step_of(e->chain, (uint16_t)port)); port++)
		if (rule_of(e, step))
			examine_port(e, (uint16_t)port);
		else
			port = step->to;
	return port;
}

/* The Dataplane's inbounds, or where they are not known any port; then all others. */
static void examine_filter(struct exam *e)
{
	const struct port_list *inbounds = &e->p->plan->children.dataplane.inbound_ports;
	uint16_t sample = sample_port(e);
	bool told = false;
	uint32_t end;

	for (size_t i = 0; i < inbounds->n && !told; i++)
		told = examine_mesh_port(e, inbounds->items[i]);
	if (inbounds->n == 0)
		(void)examine_mesh_port(e, sample);
	for (size_t i = 0; i < inbounds->n; i++)
		examine_port(e, inbounds->items[i]);
	end = examine_ports(e);
	if (e->said.n > RULES_MAX)
		say(e->p, HOST_WARNING, NULL, "%zu more rules of %s are in the same case",
		    e->said.n - RULES_MAX, e->chain->name);
	if (1 < end && end <= UINT16_MAX)
		say(e->p, HOST_NOTICE, NULL,
		    "%s: its rules name too many ports to examine those above %u", e->chain->name,
		    end - 1);
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

			if (chain->topic != topic || !family->enabled)
				continue;
			e.chain = chain;
			if (topic == FILTER_INBOUND && p->plan->inbound.enabled && !again) {
				e.said.n = 0;
				examine_filter(&e);
			} else if (topic != FILTER_INBOUND &&
				   (topic != TRACKING_DNS || family->dns)) {
				(void)examine_ports(&e);
			}
		}
	}
}
