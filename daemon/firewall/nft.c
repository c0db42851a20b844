/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "common/base/array.h"
#include "daemon/os/fd.h"
#include "daemon/firewall/firewall.h"

#define DUMP_TRIES 5 /* others may change the tables while they are listed */

/* A chain as the kernel names it; its place in the list is that of the chain among the facts. */
struct nft_chain {
	uint8_t family;
	const char *table, *name;
	bool base, drops;
};

struct nft_rule {
	uint8_t family;
	const char *table, *chain;
	uint64_t handle;
	struct nft_payload expressions;
};

struct scan {
	struct arena *arena;
	struct {
		struct nft_chain *items;
		size_t n;
	} chains;
	struct {
		struct nft_rule *items;
		size_t n;
	} rules;
	size_t first; /* of these chains among the facts */
};

static bool is_ip(uint8_t family)
{
	return family == NFPROTO_IPV4 || family == NFPROTO_IPV6 || family == NFPROTO_INET;
}

static void on_chain(void *userdata, uint8_t family, struct nft_payload attributes)
{
	struct nft_payload hook = nft_attribute(attributes, NFTA_CHAIN_HOOK);
	bool filter = strcmp(nft_text(attributes, NFTA_CHAIN_TYPE), "filter") == 0;
	struct scan *scan = userdata;

	if (!is_ip(family))
		return;
	array_push(
		scan->arena, &scan->chains,
		(struct nft_chain){
			.family = family,
			.table = arena_strdup(scan->arena, nft_text(attributes, NFTA_CHAIN_TABLE)),
			.name = arena_strdup(scan->arena, nft_text(attributes, NFTA_CHAIN_NAME)),
			.base = filter &&
				nft_number(hook, NFTA_HOOK_HOOKNUM, UINT32_MAX) == NF_INET_LOCAL_IN,
			.drops = nft_number(attributes, NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP,
		});
}

/* Whether packets to this host are filtered in the table at all. */
static bool matters(const struct scan *scan, uint8_t family, const char *table)
{
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nft_chain *chain = &scan->chains.items[i];

		if (chain->base && chain->family == family && strcmp(chain->table, table) == 0)
			return true;
	}
	return false;
}

static void on_rule(void *userdata, uint8_t family, struct nft_payload attributes)
{
	const char *table = nft_text(attributes, NFTA_RULE_TABLE);
	struct nft_payload body = nft_attribute(attributes, NFTA_RULE_EXPRESSIONS);
	struct nft_payload handle = nft_attribute(attributes, NFTA_RULE_HANDLE);
	struct scan *scan = userdata;
	struct nft_rule rule = { .family = family };

	if (!matters(scan, family, table))
		return;
	rule.table = arena_strdup(scan->arena, table);
	rule.chain = arena_strdup(scan->arena, nft_text(attributes, NFTA_RULE_CHAIN));
	for (size_t i = 0; i < handle.len; i++)
		rule.handle = rule.handle << 8 | (unsigned char)handle.data[i];
	rule.expressions.data = arena_strndup(scan->arena, body.data ? body.data : "", body.len);
	rule.expressions.len = body.len;
	array_push(scan->arena, &scan->rules, rule);
}

static size_t find(const struct scan *scan, uint8_t family, const char *table, const char *name)
{
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nft_chain *chain = &scan->chains.items[i];

		if (chain->family == family && strcmp(chain->table, table) == 0 &&
		    strcmp(chain->name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static size_t find_chain(const struct nft_rule_reader *reader, const char *name)
{
	const struct scan *scan = reader->chains;
	size_t n = find(scan, reader->family, reader->table, name);

	return n == SIZE_MAX ? n : scan->first + n;
}

static const char *family_word(uint8_t family)
{
	if (family == NFPROTO_INET)
		return "inet";
	return family == NFPROTO_IPV4 ? "ip" : "ip6";
}

/* The tool that keeps its rules there; NULL: it may be anything's. */
static const char *tool_of(const struct nft_chain *chain)
{
	if (chain->family == NFPROTO_INET || strcmp(chain->table, "filter") != 0 ||
	    (chain->base && strcmp(chain->name, "INPUT") != 0))
		return NULL;
	return chain->family == NFPROTO_IPV4 ? "iptables-nft" : "ip6tables-nft";
}

static const char *chain_name(struct arena *arena, const struct nft_chain *chain)
{
	const char *tool = tool_of(chain);

	if (tool)
		return arena_printf(arena, "chain %s (%s)", chain->name, tool);
	return arena_printf(arena, "chain %s of nftables' table %s %s", chain->name,
			    family_word(chain->family), chain->table);
}

static void add_chains(const struct scan *scan, struct facts_firewall *firewall)
{
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nft_chain *from = &scan->chains.items[i];
		const char *tool = tool_of(from);
		struct filter_chain chain = {
			.name = chain_name(scan->arena, from),
			.nft = !tool,
			.base = from->base,
			.drops = from->drops,
			.family = { from->family != NFPROTO_IPV6, from->family != NFPROTO_IPV4 },
		};

		if (tool)
			chain.add = arena_printf(scan->arena, "%s -I INPUT", tool);
		else
			chain.add =
				arena_printf(scan->arena, "nft insert rule %s %s %s",
					     family_word(from->family), from->table, from->name);
		array_push(scan->arena, firewall, chain);
	}
}

/* Rules of iptables are called by number, all others by handle. */
static const char *rule_name(const struct scan *scan, const struct nft_rule *rule, size_t chain,
			     unsigned number)
{
	const struct nft_chain *of = &scan->chains.items[chain];

	if (tool_of(of))
		return arena_printf(scan->arena, "rule %u of %s", number,
				    chain_name(scan->arena, of));
	return arena_printf(scan->arena, "rule %llu (handle) of %s",
			    (unsigned long long)rule->handle, chain_name(scan->arena, of));
}

static bool is_same_chain(const struct nft_rule *a, const struct nft_rule *b)
{
	return a->family == b->family && strcmp(a->table, b->table) == 0 &&
	       strcmp(a->chain, b->chain) == 0;
}

static void add_rules(const struct scan *scan, int fd, struct facts_firewall *firewall)
{
	struct nft_rule_reader reader = {
		.arena = scan->arena, .fd = fd, .find_chain = find_chain, .chains = scan
	};
	size_t in = SIZE_MAX;
	unsigned number = 0;

	for (size_t i = 0; i < scan->rules.n; i++) {
		const struct nft_rule *rule = &scan->rules.items[i];

		/* The rules of a chain come one after the other. */
		if (i > 0 && is_same_chain(rule, rule - 1)) {
			number++;
		} else {
			number = 1;
			in = find(scan, rule->family, rule->table, rule->chain);
		}
		if (in == SIZE_MAX)
			continue;
		reader.family = rule->family;
		reader.table = rule->table;
		reader.chain = &firewall->items[scan->first + in];
		host_firewall_expressions(&reader, rule_name(scan, rule, in, number),
					  rule->expressions);
	}
}

static int scan_once(struct scan *scan, struct facts_firewall *firewall)
{
	_close_ int fd = nft_open();
	int r;

	if (fd < 0)
		return fd;
	r = nft_dump_rules(fd, on_chain, on_rule, scan);
	if (r < 0)
		return r;
	if (scan->arena->failed)
		return -ENOMEM;
	add_chains(scan, firewall);
	if (!scan->arena->failed)
		add_rules(scan, fd, firewall);
	return 0;
}

void host_firewall_nft(struct arena *arena, struct facts_firewall *firewall)
{
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		struct scan scan = { .arena = arena, .first = firewall->n };

		r = scan_once(&scan, firewall);
	}
}
