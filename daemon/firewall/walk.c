/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/walk.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/array.h"

#define DEPTH_MAX 16     /* what the kernel allows of jumps within jumps */
#define STEPS_MAX 1024   /* of a chain */
#define RULES_MAX 200000 /* asked, for one chain */

struct walk {
	struct arena *arena;
	const struct chain_list *chains;
	bool maybe; /* a rule on the way to the chain may not apply */
	unsigned depth, asked;
	bool ended, accepted;
	const char *end;                   /* the rule that has decided */
	const char *may_accept, *may_drop; /* the first rules before that may */
};

bool packet_port(struct packet *packet, bool asked, uint16_t lo, uint16_t hi)
{
	uint16_t port = asked ? packet->asked : packet->port;
	bool within = lo <= port && port <= hi;

	if (packet->redirected && !asked)
		return within;
	packet->named |= within;
	if (within && hi < packet->until)
		packet->until = hi;
	if (port < lo && lo - 1 < packet->until)
		packet->until = (uint16_t)(lo - 1);
	return within;
}

const struct chain *chain_find(const struct chain_list *chains, uint32_t nft_family,
			       const char *table, const char *name)
{
	for (size_t i = 0; i < chains->n; i++) {
		const struct chain *chain = &chains->items[i];

		if (chain->nft_family == nft_family && strcmp(chain->table, table) == 0 &&
		    strcmp(chain->name, name) == 0)
			return chain;
	}
	return NULL;
}

static const char *family_word(const struct chain *chain)
{
	if (chain->family[FAMILY_V4] && chain->family[FAMILY_V6])
		return "inet";
	return chain->family[FAMILY_V4] ? "ip" : "ip6";
}

static const char *chain_name(struct arena *arena, const struct chain *chain)
{
	if (chain->tool)
		return arena_printf(arena, "chain %s (%s)", chain->name, chain->tool);
	return arena_printf(arena, "chain %s of nftables' table %s %s", chain->name,
			    family_word(chain), chain->table);
}

static const char *rule_name(const struct asking *a)
{
	if (!a->rule->name)
		a->rule->name = arena_printf(
			a->walk->arena, "rule %llu%s of %s", (unsigned long long)a->rule->number,
			a->chain->tool ? "" : " (handle)", chain_name(a->walk->arena, a->chain));
	return a->rule->name;
}

/* The rule accepts or drops. */
static enum course decide(const struct asking *a, bool accepts)
{
	struct walk *w = a->walk;
	const char **may = accepts ? &w->may_accept : &w->may_drop;

	if (w->maybe || a->maybe) {
		if (!*may)
			*may = rule_name(a);
		return COURSE_NEXT;
	}
	w->ended = true;
	w->accepted = accepts;
	w->end = rule_name(a);
	return COURSE_END;
}

static enum course walk_chain(struct walk *w, const struct chain *chain, struct packet *packet)
{
	enum course course = COURSE_NEXT;

	if (w->depth == DEPTH_MAX)
		return COURSE_NEXT;
	w->depth++;
	for (size_t i = 0; i < chain->n && course == COURSE_NEXT && w->asked < RULES_MAX; i++) {
		struct asking a = {
			.walk = w,
			.userdata = w->chains->userdata,
			.chain = chain,
			.rule = &chain->items[i],
			.packet = packet,
		};

		w->asked++;
		course = w->chains->judge(&a);
	}
	w->depth--;
	return course == COURSE_RETURN ? COURSE_NEXT : course;
}

enum course rule_says(struct asking *a, enum verdict verdict, const char *target)
{
	struct walk *w = a->walk;
	bool maybe_before = w->maybe;
	const struct chain *chain;
	enum course course;

	/* Whatever comes behind, what is not tracked stays so. */
	if (a->packet->tracking && verdict == VERDICT_DROP)
		verdict = VERDICT_ACCEPT;
	else if (verdict == VERDICT_UNTRACK)
		verdict = a->packet->tracking ? VERDICT_DROP : VERDICT_CONTINUE;
	if (a->refused || verdict == VERDICT_CONTINUE)
		return COURSE_NEXT;
	if (verdict == VERDICT_ACCEPT || verdict == VERDICT_DROP)
		return decide(a, verdict == VERDICT_ACCEPT);
	if (verdict == VERDICT_RETURN)
		return a->maybe ? COURSE_NEXT : COURSE_RETURN;
	chain = chain_find(w->chains, a->chain->nft_family, a->chain->table, target);
	if (!chain)
		return COURSE_NEXT;
	w->maybe |= a->maybe;
	course = walk_chain(w, chain, a->packet);
	w->maybe = maybe_before;
	return course == COURSE_NEXT && verdict == VERDICT_GOTO && !a->maybe ? COURSE_RETURN
									     : course;
}

static struct filter_outcome follow(struct walk *w, const struct chain *chain,
				    struct packet *packet)
{
	bool accepts;

	w->ended = false;
	w->end = w->may_accept = w->may_drop = NULL;
	(void)walk_chain(w, chain, packet);
	accepts = w->ended ? w->accepted : packet->tracking || !chain->drops;
	if (accepts && w->may_drop)
		return (struct filter_outcome){ FILTER_MAY_DROP, w->end, w->may_drop };
	if (!accepts && w->may_accept)
		return (struct filter_outcome){ FILTER_MAY_ACCEPT, w->end, w->may_accept };
	return (struct filter_outcome){ accepts ? FILTER_ACCEPTS : FILTER_DROPS, w->end, w->end };
}

static void walk_family(struct walk *w, const struct chain *chain, struct packet like,
			struct filter_steps *ret)
{
	uint16_t inbound_port = like.port;

	for (uint32_t port = 1; port <= UINT16_MAX && ret->n < STEPS_MAX; port = like.until + 1U) {
		struct filter_step step = { 0 };

		like.named = like.redirected = false;
		like.port = like.asked = (uint16_t)port;
		like.until = UINT16_MAX;
		step.direct = follow(w, chain, &like);
		like.redirected = !like.tracking;
		like.port = inbound_port;
		if (!like.tracking)
			step.redirected = follow(w, chain, &like);
		step.named = like.named;
		step.to = like.until;
		if (w->asked >= RULES_MAX || w->arena->failed)
			return;
		array_push(w->arena, ret, step);
	}
}

static void walk_chain_from(struct arena *arena, const struct chain_list *chains,
			    const struct chain *from, struct packet like,
			    struct facts_firewall *ret)
{
	struct filter_chain chain = { .name = chain_name(arena, from), .nft = !from->tool };

	chain.add = from->tool ? arena_printf(arena, "%s -I INPUT", from->tool)
			       : arena_printf(arena, "nft insert rule %s %s %s", family_word(from),
					      from->table, from->name);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct walk w = { .arena = arena, .chains = chains };

		like.family = f;
		if (from->family[f])
			walk_family(&w, from, like, &chain.family[f]);
	}
	array_push(arena, ret, chain);
}

void chains_walk(struct arena *arena, const struct chain_list *chains, struct findings *ret)
{
	const struct packet filtered = { .proto = IPPROTO_TCP, .port = ret->inbound_port };
	const struct packet tcp = { .proto = IPPROTO_TCP, .tracking = true };
	const struct packet udp = { .proto = IPPROTO_UDP, .tracking = true };

	for (size_t i = 0; i < chains->n && !arena->failed; i++) {
		const struct chain *from = &chains->items[i];

		if (from->hook == HOOK_INPUT)
			walk_chain_from(arena, chains, from, filtered, &ret->firewall);
		else if (from->hook == HOOK_UNTRACKED_IN)
			walk_chain_from(arena, chains, from, tcp, &ret->tracking.inbound);
		if (from->hook != HOOK_UNTRACKED_OUT)
			continue;
		walk_chain_from(arena, chains, from, tcp, &ret->tracking.outbound);
		walk_chain_from(arena, chains, from, udp, &ret->tracking.dns);
	}
}
