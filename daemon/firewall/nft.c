/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "daemon/firewall/nft_set.h"
#include "daemon/firewall/walk.h"
#include "daemon/os/netlink.h"

struct scan {
	struct arena *arena;
	struct chain_list chains;
	struct nftnl_rule_list *rules; /* owns them */
};

/* The tool that keeps its rules there; NULL: it may be anything's. */
static const char *tool_of(const struct chain *chain)
{
	bool v4 = chain->nft_family == NFPROTO_IPV4;

	if (chain->nft_family == NFPROTO_INET)
		return NULL;
	if (strcmp(chain->table, "raw") == 0 && chain->hook != HOOK_INPUT)
		return v4 ? "iptables-nft -t raw" : "ip6tables-nft -t raw";
	if (strcmp(chain->table, "filter") != 0 ||
	    (chain->hook != HOOK_NONE && strcmp(chain->name, "INPUT") != 0))
		return NULL;
	return v4 ? "iptables-nft" : "ip6tables-nft";
}

DEFINE_CLEANUP(struct nftnl_chain *, nftnl_chain_free, NULL);

static enum hook hook_of(const struct nftnl_chain *c)
{
	uint32_t number = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM);
	int32_t priority = (int32_t)nftnl_chain_get_u32(c, NFTNL_CHAIN_PRIO);

	if (number == NF_INET_LOCAL_IN)
		return HOOK_INPUT;
	if (priority >= NF_IP_PRI_CONNTRACK)
		return HOOK_NONE;
	return number == NF_INET_PRE_ROUTING ? HOOK_UNTRACKED_IN
	       : number == NF_INET_LOCAL_OUT ? HOOK_UNTRACKED_OUT
					     : HOOK_NONE;
}

static int on_chain(const struct nlmsghdr *message, void *userdata)
{
	_cleanup_(nftnl_chain_freep) struct nftnl_chain *c = nftnl_chain_alloc();
	struct scan *scan = userdata;
	struct chain chain;
	const char *type, *table, *name;

	if (!c || nftnl_chain_nlmsg_parse(message, c) < 0)
		return MNL_CB_OK;
	type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);
	table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
	name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	chain = (struct chain){
		.nft_family = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY),
		.table = arena_strdup(scan->arena, table ? table : ""),
		.name = arena_strdup(scan->arena, name ? name : ""),
		.hook = type && strcmp(type, "filter") == 0 ? hook_of(c) : HOOK_NONE,
		.drops = nftnl_chain_is_set(c, NFTNL_CHAIN_POLICY) &&
			 nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) == NF_DROP,
	};
	if (scan->arena->failed)
		return MNL_CB_ERROR;
	chain.family[FAMILY_V4] = chain.nft_family != NFPROTO_IPV6;
	chain.family[FAMILY_V6] = chain.nft_family != NFPROTO_IPV4;
	chain.tool = tool_of(&chain);
	if (chain.nft_family == NFPROTO_INET || chain.nft_family == NFPROTO_IPV4 ||
	    chain.nft_family == NFPROTO_IPV6)
		array_push(scan->arena, &scan->chains, chain);
	return MNL_CB_OK;
}

/* A rule that libnftnl cannot read at all is left out: nothing is known of it. */
static int on_rule(const struct nlmsghdr *message, void *userdata)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct scan *scan = userdata;

	if (rule && nftnl_rule_nlmsg_parse(message, rule) == 0)
		nftnl_rule_list_add_tail(rule, scan->rules);
	else if (rule)
		nftnl_rule_free(rule);
	return MNL_CB_OK;
}

/* Rules of iptables are called by number, all others by handle. */
static int add_rule(struct nftnl_rule *rule, void *userdata)
{
	struct scan *scan = userdata;
	struct chain *chain = (struct chain *)(uintptr_t)chain_find(
		&scan->chains, nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
		nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
		nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));

	if (chain)
		array_push(scan->arena, chain,
			   (struct rule){
				   .raw = rule,
				   .number = chain->tool
						     ? chain->n
						     : nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE),
			   });
	return 0;
}

void host_firewall_nft(struct arena *arena, struct findings *ret)
{
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		struct set_list sets = { .arena = arena };
		struct scan scan = {
			.arena = arena,
			.chains = { .judge = nft_rule_judge, .userdata = &sets },
			.rules = nftnl_rule_list_alloc(),
		};

		if (!scan.rules)
			return;
		r = netlink_list_nft(NFT_MSG_GETCHAIN, on_chain, &scan);
		if (r == 0)
			r = netlink_list_nft(NFT_MSG_GETRULE, on_rule, &scan);
		if (r == 0) {
			(void)nftnl_rule_list_foreach(scan.rules, add_rule, &scan);
			chains_walk(arena, &scan.chains, ret);
		}
		nftnl_rule_list_free(scan.rules);
	}
}
