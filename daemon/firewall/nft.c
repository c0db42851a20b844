/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>

#include "daemon/firewall/draft.h"
#include "daemon/firewall/firewall.h"
#include "daemon/os/netlink.h"

/* A chain as the kernel names it; its place in the list is that of the chain among the facts. */
struct nft_chain {
	uint32_t family;
	const char *table, *name;
	bool base, drops;
};

struct scan {
	struct arena *arena;
	struct {
		struct nft_chain *items;
		size_t n;
	} chains;
	struct nftnl_rule_list *rules;
	size_t first; /* of these chains among the facts */
};

static bool is_ip(uint32_t family)
{
	return family == NFPROTO_IPV4 || family == NFPROTO_IPV6 || family == NFPROTO_INET;
}

static const char *text(struct arena *arena, const char *text)
{
	return arena_strdup(arena, text ? text : "");
}

static int on_chain(const struct nlmsghdr *message, void *userdata)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct scan *scan = userdata;
	const char *type;

	if (chain && nftnl_chain_nlmsg_parse(message, chain) == 0 &&
	    is_ip(nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY))) {
		type = nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE);
		array_push(
			scan->arena, &scan->chains,
			(struct nft_chain){
				nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY),
				text(scan->arena, nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE)),
				text(scan->arena, nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME)),
				type && strcmp(type, "filter") == 0 &&
					nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM) ==
						NF_INET_LOCAL_IN,
				nftnl_chain_is_set(chain, NFTNL_CHAIN_POLICY) &&
					nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP,
			});
	}
	if (chain)
		nftnl_chain_free(chain);
	return MNL_CB_OK;
}

/* Whether packets to this host are filtered in the table at all. */
static bool matters(const struct scan *scan, uint32_t family, const char *table)
{
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nft_chain *chain = &scan->chains.items[i];

		if (chain->base && chain->family == family && strcmp(chain->table, table) == 0)
			return true;
	}
	return false;
}

static uint32_t family_of(const struct nftnl_rule *rule)
{
	return nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY);
}

/* A rule that libnftnl cannot read at all is left out: nothing is known of it. */
static int on_rule(const struct nlmsghdr *message, void *userdata)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct scan *scan = userdata;

	if (rule && !scan->arena->failed && nftnl_rule_nlmsg_parse(message, rule) == 0 &&
	    matters(scan, family_of(rule), nftnl_rule_get_str(rule, NFTNL_RULE_TABLE)))
		nftnl_rule_list_add_tail(rule, scan->rules);
	else if (rule)
		nftnl_rule_free(rule);
	return MNL_CB_OK;
}

static size_t find(const struct scan *scan, uint32_t family, const char *table, const char *name)
{
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nft_chain *chain = &scan->chains.items[i];

		if (chain->family == family && strcmp(chain->table, table) == 0 &&
		    strcmp(chain->name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static size_t find_chain(const struct draft_reader *reader, const char *name)
{
	const struct scan *scan = reader->chains;
	size_t n = find(scan, reader->family, reader->table, name);

	return n == SIZE_MAX ? n : scan->first + n;
}

static const char *family_word(uint32_t family)
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
static const char *rule_name(const struct scan *scan, const struct nftnl_rule *rule,
			     const struct nft_chain *of, unsigned number)
{
	const char *chain = chain_name(scan->arena, of);

	if (tool_of(of))
		return arena_printf(scan->arena, "rule %u of %s", number, chain);
	return arena_printf(scan->arena, "rule %llu (handle) of %s",
			    (unsigned long long)nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE), chain);
}

struct adding {
	const struct scan *scan;
	struct facts_firewall *firewall;
	size_t in; /* the chain of the rule before */
	unsigned number;
};

static int add_rule(struct nftnl_rule *rule, void *userdata)
{
	struct adding *adding = userdata;
	const struct scan *scan = adding->scan;
	struct draft_reader reader = {
		.arena = scan->arena,
		.find_chain = find_chain,
		.chains = scan,
		.family = family_of(rule),
		.table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
	};
	size_t in =
		find(scan, reader.family, reader.table, nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));

	/* The rules of a chain come one after the other. */
	adding->number = in == adding->in ? adding->number + 1 : 1;
	adding->in = in;
	if (in == SIZE_MAX)
		return 0;
	reader.chain = &adding->firewall->items[scan->first + in];
	draft_read_nft(&reader, rule_name(scan, rule, &scan->chains.items[in], adding->number),
		       rule);
	return 0;
}

static int scan_once(struct scan *scan, struct facts_firewall *firewall)
{
	struct adding adding = { .scan = scan, .firewall = firewall, .in = SIZE_MAX };
	int r = netlink_list_nft(NFT_MSG_GETCHAIN, on_chain, scan);

	if (r == 0)
		r = netlink_list_nft(NFT_MSG_GETRULE, on_rule, scan);
	if (r != 0 || scan->arena->failed)
		return r;
	add_chains(scan, firewall);
	if (!scan->arena->failed)
		(void)nftnl_rule_list_foreach(scan->rules, add_rule, &adding);
	return 0;
}

void host_firewall_nft(struct arena *arena, struct facts_firewall *firewall)
{
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		struct scan scan = { .arena = arena,
				     .rules = nftnl_rule_list_alloc(),
				     .first = firewall->n };

		if (!scan.rules)
			return;
		r = scan_once(&scan, firewall);
		nftnl_rule_list_free(scan.rules);
	}
}
