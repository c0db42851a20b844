/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/filter.h"

#define DEPTH_MAX 16 /* what the kernel allows of jumps within jumps */
#define STEPS_MAX 100000

struct walk {
	const struct facts_firewall *firewall;
	const struct filter_packet *packet;
	struct filter_outcome outcome;
	unsigned depth, steps;
	bool accepted, dropped;
};

/* What has led to a chain. */
struct path {
	bool maybe;                      /* a rule on the way may not apply */
	const struct filter_rule *named; /* the last one that speaks of the port */
};

static bool ports_match(const struct filter_ports *ports, uint16_t port)
{
	if (ports->n == 0)
		return true;
	for (size_t i = 0; i < ports->n; i++)
		if (port >= ports->items[i].lo && port <= ports->items[i].hi)
			return !ports->negated;
	return ports->negated;
}

static bool applies(const struct filter_rule *rule, const struct filter_packet *packet)
{
	if (rule->never || rule->not_for[packet->family])
		return false;
	if (packet->redirected ? rule->redirected_never : rule->redirected_only)
		return false;
	return ports_match(&rule->port, packet->port) &&
	       ports_match(&rule->original, packet->original);
}

static bool speaks_of_it(const struct filter_rule *rule)
{
	return rule->port.n > 0 || rule->original.n > 0 || rule->redirected_only;
}

/* A rule that accepts or drops. Returns whether that is the end. */
static bool decide(struct walk *w, const struct filter_rule *rule, const struct path *path)
{
	bool accepts = rule->verdict == FILTER_ACCEPT;

	if (path->maybe) {
		if (accepts) {
			w->outcome.may_accept = true;
			w->outcome.may_accept_by_name |= path->named != NULL;
		} else {
			w->outcome.may_drop = true;
			w->outcome.may_drop_by_name |= path->named != NULL;
		}
		if (!w->outcome.by)
			w->outcome.by = path->named;
		return false;
	}
	w->accepted = accepts;
	w->dropped = !accepts;
	w->outcome.end = rule;
	if (!w->outcome.by)
		w->outcome.by = path->named;
	return true;
}

/* Returns true at the end of the walk, false where the chain returns. */
static bool walk(struct walk *w, const struct filter_chain *chain, const struct path *from)
{
	bool end = false;

	if (w->depth >= DEPTH_MAX)
		return false;
	w->depth++;
	for (size_t i = 0; i < chain->n && !end && w->steps < STEPS_MAX; i++) {
		const struct filter_rule *rule = &chain->items[i];
		struct path path = *from;

		w->steps++;
		if (!applies(rule, w->packet))
			continue;
		path.maybe |= rule->partly;
		if (speaks_of_it(rule))
			path.named = rule;
		if (rule->verdict == FILTER_RETURN) {
			if (!rule->partly)
				break;
		} else if (rule->verdict == FILTER_ACCEPT || rule->verdict == FILTER_DROP) {
			end = decide(w, rule, &path);
		} else if (rule->verdict != FILTER_CONTINUE && rule->target < w->firewall->n) {
			end = walk(w, &w->firewall->items[rule->target], &path);
			if (rule->verdict == FILTER_GOTO && !rule->partly)
				break;
		}
	}
	w->depth--;
	return end;
}

struct filter_outcome filter_walk(const struct facts_firewall *firewall,
				  const struct filter_chain *base,
				  const struct filter_packet *packet)
{
	struct walk w = { .firewall = firewall, .packet = packet };

	(void)walk(&w, base, &(struct path){ 0 });
	w.outcome.drops = w.dropped || (!w.accepted && base->drops);
	return w.outcome;
}
