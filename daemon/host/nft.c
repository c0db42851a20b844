/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/plan/plan.h"
#include "common/rules/lower_nft.h"
#include "common/rules/recognise.h"
#include "common/rules/ruleset.h"
#include "daemon/host/nft_boot.h"
#include "daemon/os/netlink.h"

#define KUMA_COMMENT "kuma/mesh/transparent/proxy"
#define CHAIN_MAX    128 /* its family, table and name, cut where they are longer */

/* A base chain of type nat. */
struct nat_chain {
	uint8_t family;
	const char *table, *name;
	bool redirects; /* what comes to this host, or is sent by it */
	int first;      /* the priority, where it comes before the last one of ours; or 0 */
};

struct scan {
	struct arena *arena;
	struct {
		struct nat_chain *items;
		size_t n;
	} chains;
	bool any; /* chain at all: there are no rules without */
	bool foreign;
	int first; /* the smallest of these priorities; 0: there is none */
	/* The chain with such a rule that leaves packets alone; the first one before all of ours; "": there is none */
	char exempt[CHAIN_MAX], before[CHAIN_MAX];
	/* In a table of iptables-nft: the chain of Docker's resolver, something of kumactl's. */
	bool docker[FAMILY_COUNT], mesh[FAMILY_COUNT];
};

static uint8_t family_of(const struct nlmsghdr *message)
{
	return ((const struct nfgenmsg *)mnl_nlmsg_get_payload(message))->nfgen_family;
}

/* "" where there is none. */
static const char *find_text(const struct nlmsghdr *message, uint16_t type)
{
	const struct nlattr *a = netlink_attribute(message, type);

	return a ? mnl_attr_get_str(a) : "";
}

static uint32_t number_of(const struct nlattr *holder, uint16_t type)
{
	const struct nlattr *a = netlink_nested(holder, type);

	return a ? ntohl(mnl_attr_get_u32(a)) : 0;
}

/* Notes what kumactl has put where iptables-nft puts it. */
static void note_mesh(struct scan *scan, uint8_t family, const char *table)
{
	for (enum table t = 0; t < TABLE_COUNT; t++)
		if (strcmp(table, table_name(t)) == 0) {
			scan->mesh[FAMILY_V4] |= family == NFPROTO_IPV4;
			scan->mesh[FAMILY_V6] |= family == NFPROTO_IPV6;
		}
}

static void note_docker(struct scan *scan, uint8_t family, const char *table, const char *chain)
{
	if (strcmp(table, "nat") != 0 || strncmp(chain, DOCKER_OUTPUT, strlen(DOCKER_OUTPUT)) != 0)
		return;
	scan->docker[FAMILY_V4] |= family == NFPROTO_IPV4;
	scan->docker[FAMILY_V6] |= family == NFPROTO_IPV6;
}

static void note_nat(struct scan *scan, const struct nlmsghdr *message)
{
	const struct nlattr *at = netlink_attribute(message, NFTA_CHAIN_HOOK);
	uint32_t hook = number_of(at, NFTA_HOOK_HOOKNUM);
	int32_t priority = (int32_t)number_of(at, NFTA_HOOK_PRIORITY);
	bool redirects = hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT;
	const struct nat_chain chain = {
		.family = family_of(message),
		.table = arena_strdup(scan->arena, find_text(message, NFTA_CHAIN_TABLE)),
		.name = arena_strdup(scan->arena, find_text(message, NFTA_CHAIN_NAME)),
		.redirects = redirects,
		/* Who comes later to the same priority comes first: nf_hook_entries_grow(). */
		.first = redirects && priority <= NFT_NAT_LAST ? priority : 0,
	};

	array_push(scan->arena, &scan->chains, chain);
}

static int on_chain(const struct nlmsghdr *message, void *userdata)
{
	const char *name = find_text(message, NFTA_CHAIN_NAME);
	const char *table = find_text(message, NFTA_CHAIN_TABLE);
	struct scan *scan = userdata;

	scan->any = true;
	if (mesh_chain(name))
		note_mesh(scan, family_of(message), table);
	note_docker(scan, family_of(message), table, name);
	if (strcmp(find_text(message, NFTA_CHAIN_TYPE), "nat") == 0)
		note_nat(scan, message);
	return MNL_CB_OK;
}

/* Tables of a Kuma redirect in native nftables, whoever made it. */
static bool is_mesh_table(const char *table)
{
	return strncasecmp(table, "kuma_mesh", 9) == 0 || strcmp(table, NFT_TABLE) == 0;
}

/* Jumps and comments stand in a rule as plain bytes, whatever expression holds them. */
static bool mentions(const struct nlattr *rule, const char *text)
{
	return rule && memmem(mnl_attr_get_payload(rule), mnl_attr_get_payload_len(rule), text,
			      strlen(text));
}

/* Whether a rule returns or accepts. */
static bool leaves_alone(const struct nlattr *rule)
{
	const struct nlattr *e = rule ? mnl_attr_get_payload(rule) : NULL;

	for (; e && netlink_is_in(e, rule); e = mnl_attr_next(e)) {
		const struct nlattr *name = netlink_nested(e, NFTA_EXPR_NAME);
		const struct nlattr *data = netlink_nested(e, NFTA_EXPR_DATA);
		const struct nlattr *verdict = netlink_nested(
			netlink_nested(data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT);
		int code = (int)number_of(verdict, NFTA_VERDICT_CODE);

		if (verdict && name && strcmp(mnl_attr_get_str(name), "immediate") == 0 &&
		    (code == NF_ACCEPT || code == NFT_RETURN))
			return true;
	}
	return false;
}

static void name_chain(char ret[static CHAIN_MAX], const struct nat_chain *nat)
{
	const char *family = nat->family == NFPROTO_IPV4   ? "ip"
			     : nat->family == NFPROTO_IPV6 ? "ip6"
							   : "inet";

	(void)snprintf(ret, CHAIN_MAX, "%s %s %s", family, nat->table, nat->name);
}

static void note_foreign(struct scan *scan, const struct nat_chain *nat, const struct nlattr *rule)
{
	scan->foreign = true;
	if (nat->first < NFT_NAT_FIRST && nat->first < scan->first)
		name_chain(scan->before, nat);
	if (nat->first < scan->first)
		scan->first = nat->first;
	if (!scan->exempt[0] && nat->redirects && leaves_alone(rule))
		name_chain(scan->exempt, nat);
}

static int on_rule(const struct nlmsghdr *message, void *userdata)
{
	const char *table = find_text(message, NFTA_RULE_TABLE);
	const char *chain = find_text(message, NFTA_RULE_CHAIN);
	const struct nlattr *body = netlink_attribute(message, NFTA_RULE_EXPRESSIONS);
	struct scan *scan = userdata;

	if (mentions(body, KUMA_COMMENT))
		note_mesh(scan, family_of(message), table);
	if (is_mesh_table(table) || mentions(body, KUMA_MESH_PREFIX) ||
	    mentions(body, KUMA_COMMENT))
		return MNL_CB_OK;
	for (size_t i = 0; i < scan->chains.n && !scan->arena->failed; i++) {
		const struct nat_chain *nat = &scan->chains.items[i];

		if (nat->family == family_of(message) && strcmp(nat->table, table) == 0 &&
		    strcmp(nat->name, chain) == 0)
			note_foreign(scan, nat, body);
	}
	return MNL_CB_OK;
}

/* A listing with thousands of rules may never come to its end without somebody's change in between. What
 * was seen in one of them is there all the same: only what was not may be missing. */
static int scan_all(struct scan *ret, struct error *err)
{
	struct arena arena = { 0 };
	int r = -EINTR;

	*ret = (struct scan){ .arena = &arena };
	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		ret->chains.items = NULL;
		ret->chains.n = 0;
		ret->any = false;
		r = netlink_list_nft(NFT_MSG_GETCHAIN, on_chain, ret);
		if ((r == 0 || r == -EINTR) && ret->any) {
			int rules = netlink_list_nft(NFT_MSG_GETRULE, on_rule, ret);

			r = rules ? rules : r;
		}
		if (r == NETLINK_LOST)
			r = -EIO;
		if (r == 0 && arena.failed)
			r = -ENOMEM;
		arena_done(&arena);
	}
	return r < 0 && r != -EINTR ? error_sys(err, r, "list the rules of nf_tables") : 0;
}

bool host_nft_nat_foreign(void)
{
	struct scan scan;

	return scan_all(&scan, NULL) == 0 && scan.foreign;
}

int host_nft_nat_first(void)
{
	struct scan scan;

	return scan_all(&scan, NULL) == 0 ? scan.first : 0;
}

void host_nft_look(struct arena *arena, enum check_purpose purpose, struct facts *facts)
{
	struct scan scan;

	if (purpose == CHECK_RUN)
		facts->nft_boot_file = host_nft_boot_file(arena);
	if (scan_all(&scan, NULL) != 0)
		return;
	facts->nft_nat_foreign = scan.foreign;
	facts->nft_nat_first = scan.first;
	facts->nft_nat_before = scan.before[0] ? arena_strdup(arena, scan.before) : NULL;
	facts->nft_nat_exempt = scan.exempt[0] ? arena_strdup(arena, scan.exempt) : NULL;
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		facts->family[f].ability[BACKEND_NFTABLES].docker_output = scan.docker[f];
}

int host_nft_leftovers(bool ret[static FAMILY_COUNT], struct error *err)
{
	struct scan scan;
	int r = scan_all(&scan, err);

	if (netlink_nft_is_absent(r))
		return 0;
	if (r == 0)
		memcpy(ret, scan.mesh, sizeof(scan.mesh));
	return r;
}
