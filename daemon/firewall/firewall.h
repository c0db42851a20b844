/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The host's own packet filter as facts. A part of daemon/host/host.h. What is not understood of a
 * rule makes it one that may apply or not (struct filter_rule.partly), never one that does.
 *
 *     xt.c         the legacy tables, by libiptc; only those that exist
 *     nft.c        nf_tables, by netlink
 *     expr.c       the expressions of one rule of nf_tables
 *     registers.c  what they have loaded
 *     set.c        the sets and maps that they look things up in
 *     match.c      the matches of xtables, which both have
 */

#include "common/base/arena.h"
#include "common/plan/facts_firewall.h"
#include "daemon/os/nft_dump.h"

/* All chains of packets to this host and those that they jump to. What cannot be read is left out:
 * a caller without the right to look learns nothing. */
void host_firewall(struct arena *arena, struct facts_firewall *ret);

/* For the files of this folder only, from here on. */
struct filter_range_list {
	struct filter_range *items;
	size_t n;
};

/* Restricts the rule to ports; twice is more than it can say. */
void host_firewall_ports(struct filter_rule *rule, struct filter_ports *which,
			 const struct filter_range_list *ranges, bool negated);

/* The same by one of nf_tables' comparisons (NFT_CMP_*). */
void host_firewall_compare(struct arena *arena, struct filter_rule *rule,
			   struct filter_ports *ports, uint32_t op, uint16_t port);

/* What a match of xtables asks for; which family's does not matter. */
struct xt_info {
	const char *name;
	unsigned revision;
	const void *data;
	size_t len;
};
void host_firewall_match(struct arena *arena, const struct xt_info *match,
			 struct filter_rule *rule);

/* What a target of xtables that is no verdict does with the packet. */
enum filter_verdict host_firewall_target(const char *name);

void host_firewall_legacy(struct arena *arena, struct facts_firewall *firewall);
void host_firewall_nft(struct arena *arena, struct facts_firewall *firewall);

/* A set of nf_tables that a rule looks something up in; a map gives verdicts too. */
struct nft_element {
	struct nft_payload key, verdict;
	bool interval_end;
};
struct nft_elements {
	struct nft_element *items;
	size_t n;
};

int host_firewall_elements(struct arena *arena, int fd, const struct nft_set *set,
			   struct nft_elements *ret) _must_check_;
/* The ports that the n-th element stands for: where a set has intervals, up to the next end. */
struct filter_range host_firewall_range(const struct nft_elements *elements, size_t n);

/* One rule of nf_tables while its expressions are read. */
struct nft_rule_reader {
	struct arena *arena;
	int fd;
	uint8_t family;
	const char *table;
	/* The chain of that name in the same table. */
	size_t (*find_chain)(const struct nft_rule_reader *reader, const char *name);
	const void *chains;
	struct filter_chain *chain; /* gets the rules: a verdict map makes several of one */
};
void host_firewall_expressions(struct nft_rule_reader *reader, const char *name,
			       struct nft_payload list);
