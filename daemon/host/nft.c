/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <strings.h>

#include <libnftnl/chain.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/plan/plan.h"
#include "common/rules/recognise.h"
#include "common/rules/ruleset.h"
#include "daemon/os/netlink.h"

#define KUMA_COMMENT "kuma/mesh/transparent/proxy"

/* A base chain of type nat. */
struct nat_chain {
	uint8_t family;
	const char *table, *name;
};

struct nat_chains {
	struct nat_chain *items;
	size_t n;
};

struct scan {
	struct arena *arena;
	struct nat_chains chains;
	bool foreign;
	bool mesh[FAMILY_COUNT]; /* something of kumactl's is in a table of iptables-nft */
};

static uint8_t family_of(const struct nlmsghdr *message)
{
	return ((const struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family;
}

/* Notes what kumactl has put where iptables-nft puts it. */
static void note_mesh(struct scan *scan, uint8_t family, const char *table)
{
	for (enum table t = 0; t < TABLE_COUNT; t++)
		if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV4)
			scan->mesh[FAMILY_V4] = true;
		else if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV6)
			scan->mesh[FAMILY_V6] = true;
}

static int on_chain(const struct nlmsghdr *message, void *userdata)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct scan *scan = userdata;
	const char *type, *name, *table;

	if (!chain || nftnl_chain_nlmsg_parse(message, chain) < 0)
		goto done;
	name = nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME);
	table = nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE);
	type = nftnl_chain_get_str(chain, NFTNL_CHAIN_TYPE);
	if (!name || !table)
		goto done;
	if (mesh_chain(name))
		note_mesh(scan, family_of(message), table);
	if (type && strcmp(type, "nat") == 0)
		array_push(scan->arena, &scan->chains,
			   (struct nat_chain){ .family = family_of(message),
					       .table = arena_strdup(scan->arena, table),
					       .name = arena_strdup(scan->arena, name) });
done:
	if (chain)
		nftnl_chain_free(chain);
	return MNL_CB_OK;
}

/* Tables of a Kuma redirect in native nftables, whoever made it. */
static bool is_mesh_table(const char *table)
{
	return strncasecmp(table, "kuma_mesh", 9) == 0 || strncasecmp(table, "tproxyd", 7) == 0;
}

/* Jumps and comments stand in a rule as plain bytes, whatever expression holds them. */
static bool mentions(const struct nlattr *rule, const char *text)
{
	return rule && memmem(mnl_attr_get_payload(rule), mnl_attr_get_payload_len(rule), text,
			      strlen(text));
}

static int on_rule(const struct nlmsghdr *message, void *userdata)
{
	const struct nlattr *a, *body = NULL;
	const char *table = "", *chain = "";
	struct scan *scan = userdata;

	netlink_for_each(a, message, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(a);

		if (type == NFTA_RULE_TABLE)
			table = mnl_attr_get_str(a);
		else if (type == NFTA_RULE_CHAIN)
			chain = mnl_attr_get_str(a);
		else if (type == NFTA_RULE_EXPRESSIONS)
			body = a;
	}
	if (mentions(body, KUMA_COMMENT))
		note_mesh(scan, family_of(message), table);
	if (is_mesh_table(table) || mentions(body, KUMA_MESH_PREFIX) ||
	    mentions(body, KUMA_COMMENT))
		return MNL_CB_OK;
	for (size_t i = 0; i < scan->chains.n && !scan->arena->failed; i++) {
		const struct nat_chain *nat = &scan->chains.items[i];

		if (nat->family == family_of(message) && strcmp(nat->table, table) == 0 &&
		    strcmp(nat->name, chain) == 0)
			scan->foreign = true;
	}
	return MNL_CB_OK;
}

static int scan_all(struct scan *ret, struct error *err)
{
	struct arena arena = { 0 };
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		*ret = (struct scan){ .arena = &arena };
		r = netlink_list_nft(NFT_MSG_GETCHAIN, on_chain, ret);
		if (r == 0)
			r = netlink_list_nft(NFT_MSG_GETRULE, on_rule, ret);
		if (r == NETLINK_LOST)
			r = -EIO;
		if (r == 0 && arena.failed)
			r = -ENOMEM;
		arena_done(&arena);
	}
	return r < 0 ? error_sys(err, r, "list the rules of nf_tables") : 0;
}

int host_nft_nat_foreign(bool *ret, struct error *err)
{
	struct scan scan;
	int r = scan_all(&scan, err);

	if (r == 0)
		*ret = scan.foreign;
	return r;
}

int host_nft_leftovers(bool ret[static FAMILY_COUNT], struct error *err)
{
	struct scan scan = { 0 };
	int r = scan_all(&scan, err);

	/* A kernel without nfnetlink, or without nf_tables behind it. */
	if (r == -EPROTONOSUPPORT || r == -EINVAL || r == -EOPNOTSUPP)
		scan = (struct scan){ 0 };
	else if (r < 0)
		return r;
	memcpy(ret, scan.mesh, sizeof(scan.mesh));
	return 0;
}
