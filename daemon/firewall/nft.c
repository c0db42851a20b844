/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter_ipv4.h>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "daemon/firewall/firewall.h"
#include "daemon/firewall/walk.h"
#include "daemon/os/netlink.h"

struct scan {
	struct host_chains chains;
	struct nftnl_rule_list *rules; /* owns them */
};

DEFINE_CLEANUP(struct nftnl_chain *, nftnl_chain_free, NULL);

static const char *hook_of(const struct nftnl_chain *c)
{
	static const char *const names[] = { "PREROUTING", "INPUT", "",
					     "OUTPUT" }; /* by NF_INET_* */
	const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);
	uint32_t hook = nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM);
	int32_t priority = (int32_t)nftnl_chain_get_u32(c, NFTNL_CHAIN_PRIO);

	/* All but one matter only in front of connection tracking. */
	if (type && strcmp(type, "filter") == 0 && hook < ELEMENTS(names) &&
	    (hook == NF_INET_LOCAL_IN || priority < NF_IP_PRI_CONNTRACK))
		return names[hook];
	return "";
}

/* Whether it may be a chain of iptables-nft. */
static bool is_of_iptables(const struct host_chain *chain)
{
	return chain->nfproto != NFPROTO_INET &&
	       (strcmp(chain->table, "filter") == 0 || strcmp(chain->table, "raw") == 0) &&
	       (!*chain->hook || strcmp(chain->hook, chain->name) == 0);
}

static int on_chain(const struct nlmsghdr *message, void *userdata)
{
	_cleanup_(nftnl_chain_freep) struct nftnl_chain *c = nftnl_chain_alloc();
	struct host_chains *chains = &((struct scan *)userdata)->chains;
	struct arena *arena = chains->arena;
	struct host_chain chain;

	if (!c || nftnl_chain_nlmsg_parse(message, c) < 0)
		return MNL_CB_OK;
	chain = (struct host_chain){
		.nfproto = nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY),
		.table = arena_strdup(arena, nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE)),
		.name = arena_strdup(arena, nftnl_chain_get_str(c, NFTNL_CHAIN_NAME)),
		.hook = hook_of(c),
		.policy = nftnl_chain_is_set(c, NFTNL_CHAIN_POLICY)
				  ? (int)nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY)
				  : NF_ACCEPT,
	};
	if (arena->failed)
		return MNL_CB_ERROR;
	/* One can be listed twice: daemon/netfilter/nft/look.c. */
	if (chain_find(chains, chain.nfproto, chain.table, chain.name))
		return MNL_CB_OK;
	chain_describe(arena, &chain, is_of_iptables(&chain) ? "nft" : NULL);
	array_push(arena, chains, chain);
	return MNL_CB_OK;
}

static int on_rule(const struct nlmsghdr *message, void *userdata)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct scan *scan = userdata;
	struct host_chain *chain = NULL;

	if (!rule)
		return MNL_CB_OK;
	nftnl_rule_list_add_tail(rule, scan->rules);
	/* What libnftnl cannot read at all is left out: nothing is known of it. */
	if (nftnl_rule_nlmsg_parse(message, rule) == 0)
		chain = chain_find(&scan->chains, nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
				   nftnl_rule_get_str(rule, NFTNL_RULE_TABLE),
				   nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN));
	/* Rules of iptables are called by number, all others by handle. */
	if (chain)
		array_push(scan->chains.arena, chain,
			   (struct host_rule){
				   .raw = rule,
				   .number = chain->iptables
						     ? chain->n
						     : nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE),
			   });
	return MNL_CB_OK;
}

void host_firewall(struct arena *arena, uint16_t inbound_port, struct facts_firewall *ret)
{
	int r = -EINTR;

	host_firewall_legacy(arena, inbound_port, ret);
	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		struct nft_sets sets = { 0 };
		struct scan scan = {
			.chains = { .arena = arena,
				    .inbound_port = inbound_port,
				    .judge = nft_rule_judge,
				    .userdata = &sets },
			.rules = nftnl_rule_list_alloc(),
		};

		if (!scan.rules)
			return;
		r = netlink_list_nft(NFT_MSG_GETCHAIN, on_chain, &scan);
		if (r == 0)
			r = netlink_list_nft(NFT_MSG_GETRULE, on_rule, &scan);
		if (r == 0 && !arena->failed)
			chains_walk(&scan.chains, ret);
		nftnl_rule_list_free(scan.rules);
	}
}
