/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A rule while it is read, for the files of this folder. What matters are new TCP connections from
 * outside: of either family, redirected or not. A rule is read for all these kinds of packets at
 * once, and each thing that it asks for leaves some of them. What is not understood makes it one that
 * may apply or not (struct filter_rule.partly), never one that does.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/plan/facts_firewall.h"

#define PACKET_KINDS (2 * FAMILY_COUNT)

static inline enum family packet_family(unsigned kind)
{
	return (enum family)(kind / 2);
}

static inline bool packet_redirected(unsigned kind)
{
	return kind % 2 != 0;
}

struct draft {
	struct arena *arena;
	struct filter_rule rule;
	bool excludes[PACKET_KINDS];
};

/* The rule asks for something that is so for packets that are redirected, and for those that are
 * not. */
void draft_asks(struct draft *draft, bool redirected, bool direct);

static inline void draft_asks_always(struct draft *draft, bool so)
{
	draft_asks(draft, so, so);
}

struct filter_range_list {
	struct filter_range *items;
	size_t n;
};

/* The rule asks for ports; which: those of the packet, or those that the client asked for. Twice is
 * more than a fact can say. */
void draft_ports(struct draft *draft, struct filter_ports *which,
		 const struct filter_range_list *ranges, bool negated);
void draft_port(struct draft *draft, struct filter_ports *which, struct filter_range range,
		bool negated);

/* A match of xtables, by its name, revision and bytes; whose family's does not matter. */
struct draft_match {
	const char *name;
	unsigned revision;
	const void *data;
	size_t len;
};
void draft_match(struct draft *draft, const struct draft_match *match);

/* What a target of xtables that is no verdict does with the packet. */
enum filter_verdict draft_target(const char *name);

/* Appends the rule to the chain, where it applies to anything. */
void draft_end(const struct draft *draft, struct filter_chain *chain);

/* One rule of nf_tables. */
struct nftnl_rule;
struct draft_reader {
	struct arena *arena;
	/* The place of a chain of the same table among the facts; SIZE_MAX: it is not there. */
	size_t (*find_chain)(const struct draft_reader *reader, const char *name);
	const void *chains;
	struct filter_chain *chain; /* gets the rule; a map of verdicts makes several of it */
	uint32_t family;
	const char *table;
};
void draft_read_nft(const struct draft_reader *reader, const char *name,
		    const struct nftnl_rule *rule);

/* nf_tables' part of host_firewall(). */
void host_firewall_nft(struct arena *arena, struct facts_firewall *firewall);
