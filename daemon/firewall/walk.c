/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/walk.h"

#include <string.h>

#include "common/base/array.h"

#define DEPTH_MAX 16     /* what the kernel allows of jumps within jumps */
#define STEPS_MAX 1024   /* of a chain */
#define RULES_MAX 200000 /* asked, for one chain */

struct host_chain *chain_find(const struct host_chains *chains, uint32_t nfproto, const char *table,
			      const char *name)
{
	for (size_t i = 0; i < chains->n; i++) {
		struct host_chain *chain = &chains->items[i];

		if (chain->nfproto == nfproto && strcmp(chain->table, table) == 0 &&
		    strcmp(chain->name, name) == 0)
			return chain;
	}
	return NULL;
}

void chain_describe(struct arena *arena, struct host_chain *chain, const char *backend)
{
	bool v4 = chain->nfproto == NFPROTO_IPV4, raw = strcmp(chain->table, "raw") == 0;
	const char *family = chain->nfproto == NFPROTO_INET ? "inet" : v4 ? "ip" : "ip6";
	const char *tool;

	chain->iptables = backend;
	if (!backend) {
		chain->title = arena_printf(arena, "chain %s of nftables' table %s %s", chain->name,
					    family, chain->table);
		chain->add = arena_printf(arena, "nft insert rule %s %s %s", family, chain->table,
					  chain->name);
		return;
	}
	tool = arena_printf(arena, "%stables-%s%s", family, backend, raw ? " -t raw" : "");
	chain->title = arena_printf(arena, "chain %s (%s)", chain->name, tool);
	chain->add = arena_printf(arena, "%s -I INPUT", tool);
}

enum answer ask_port(struct packet *packet, enum port which, uint16_t lo, uint16_t hi)
{
	uint16_t port = which == PORT_ASKED ? packet->asked : packet->port;
	bool within = lo <= port && port <= hi;
	uint16_t until = within ? hi : port < lo ? (uint16_t)(lo - 1) : UINT16_MAX;

	if (lo == 0 && hi == UINT16_MAX)
		return YES;
	if (which == PORT_CLIENT)
		return packet->tracking && hi < IPPORT_RESERVED ? NO : MAYBE;
	if (which == PORT_ASKED || !packet->redirected) {
		packet->named |= within;
		packet->until = until < packet->until ? until : packet->until;
	}
	return answer_of(within, false);
}

/* Asks the chain's rules, after a jump from a rule. */
static int walk_chain(struct asking a, const struct host_chain *chain)
{
	a.chain = chain;
	a.reached = answer_both(a.reached, a.applies);
	a.depth++;
	a.verdict = NFT_CONTINUE;
	for (size_t i = 0; i < chain->n && a.verdict == NFT_CONTINUE && a.depth <= DEPTH_MAX &&
			   a.packet->rules < RULES_MAX;
	     i++) {
		a.packet->rules++;
		a.rule = &chain->items[i];
		a.applies = YES;
		a.chains->judge(&a);
	}
	return a.verdict == NFT_RETURN ? NFT_CONTINUE : a.verdict;
}

/* The rule accepts or drops, or may do so. */
static int decide(const struct asking *a, int verdict)
{
	bool sure = a->applies == YES && a->reached == YES;
	const char **by = sure ? &a->packet->end : &a->packet->may[verdict];

	if (!a->rule->name)
		a->rule->name = arena_printf(
			a->chains->arena, "rule %llu%s of %s", (unsigned long long)a->rule->number,
			a->chain->iptables ? "" : " (handle)", a->chain->title);
	if (!*by)
		*by = a->rule->name;
	return sure ? verdict : NFT_CONTINUE;
}

/* Whatever comes behind, what is not tracked stays so. */
static int meaning(const struct packet *packet, int verdict)
{
	if (verdict == VERDICT_UNTRACK)
		return packet->tracking ? NF_DROP : NFT_CONTINUE;
	return packet->tracking && verdict == NF_DROP ? NF_ACCEPT : verdict;
}

void rule_says(struct asking *a, int verdict, const char *target)
{
	const struct host_chain *to = NULL;

	verdict = meaning(a->packet, verdict);
	if (a->applies == NO)
		return;
	if (verdict == NF_ACCEPT || verdict == NF_DROP)
		a->verdict = decide(a, verdict);
	if ((verdict == NFT_JUMP || verdict == NFT_GOTO) && target)
		to = chain_find(a->chains, a->chain->nfproto, a->chain->table, target);
	if (to)
		a->verdict = walk_chain(*a, to);
	/* What comes back goes on in the chain before. */
	if ((verdict == NFT_RETURN || verdict == NFT_GOTO) && a->verdict == NFT_CONTINUE &&
	    a->applies == YES)
		a->verdict = NFT_RETURN;
}

static struct filter_outcome follow(struct asking start, const struct host_chain *chain)
{
	struct packet *packet = start.packet;
	int verdict;
	const char *otherwise;

	packet->end = packet->may[NF_DROP] = packet->may[NF_ACCEPT] = NULL;
	verdict = walk_chain(start, chain);
	if (verdict == NFT_CONTINUE)
		verdict = meaning(packet, chain->policy);
	otherwise = packet->may[verdict == NF_DROP ? NF_ACCEPT : NF_DROP];
	return (struct filter_outcome){
		.fate = verdict == NF_DROP ? (otherwise ? FILTER_MAY_ACCEPT : FILTER_DROPS)
					   : (otherwise ? FILTER_MAY_DROP : FILTER_ACCEPTS),
		.end = packet->end,
		.rule = otherwise ? otherwise : packet->end,
	};
}

static void walk_ports(const struct host_chains *chains, const struct host_chain *chain,
		       enum filter_topic topic, enum family family, struct facts_firewall *facts)
{
	struct packet packet = {
		.family = family,
		.proto = topic == TRACKING_DNS ? IPPROTO_UDP : IPPROTO_TCP,
		.tracking = topic != FILTER_INBOUND,
	};
	struct asking start = {
		.chains = chains, .packet = &packet, .reached = YES, .applies = YES
	};
	struct filter_chain ret = {
		.topic = topic,
		.family = family,
		.name = chain->title,
		.add = chain->add,
		.nft = !chain->iptables,
	};

	for (uint32_t port = 1; port <= UINT16_MAX && ret.n < STEPS_MAX; port = packet.until + 1U) {
		struct filter_step step = { 0 };

		packet.named = packet.redirected = false;
		packet.port = packet.asked = (uint16_t)port;
		packet.until = UINT16_MAX;
		step.direct = follow(start, chain);
		packet.redirected = true;
		packet.port = chains->inbound_port;
		if (!packet.tracking)
			step.redirected = follow(start, chain);
		step.named = packet.named;
		step.to = packet.until;
		if (packet.rules >= RULES_MAX)
			break;
		array_push(chains->arena, &ret, step);
	}
	array_push(chains->arena, facts, ret);
}

void chains_walk(const struct host_chains *chains, struct facts_firewall *ret)
{
	static const char *const hooks[] = {
		[FILTER_INBOUND] = "INPUT",
		[TRACKING_INBOUND] = "PREROUTING",
		[TRACKING_OUTBOUND] = "OUTPUT",
		[TRACKING_DNS] = "OUTPUT",
	};
	static const uint32_t families[] = { NFPROTO_IPV4, NFPROTO_IPV6 };

	for (size_t i = 0; i < chains->n; i++) {
		const struct host_chain *from = &chains->items[i];

		for (enum filter_topic topic = 0; topic < ELEMENTS(hooks); topic++)
			for (enum family f = 0; f < FAMILY_COUNT; f++)
				if (strcmp(from->hook, hooks[topic]) == 0 &&
				    (from->nfproto == NFPROTO_INET || from->nfproto == families[f]))
					walk_ports(chains, from, topic, f, ret);
	}
}
