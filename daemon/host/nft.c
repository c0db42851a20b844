/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/array.h"
#include "common/plan/plan.h"
#include "common/rules/recognise.h"
#include "common/rules/ruleset.h"
#include "daemon/os/fd.h"
#include "daemon/os/nft_dump.h"

#define DUMP_TRIES   5 /* others may change the tables while they are listed (NLM_F_DUMP_INTR) */
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

/* Notes what kumactl has put where iptables-nft puts it. */
static void note_mesh(struct scan *scan, uint8_t family, const char *table)
{
	for (enum table t = 0; t < TABLE_COUNT; t++)
		if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV4)
			scan->mesh[FAMILY_V4] = true;
		else if (strcmp(table, table_name(t)) == 0 && family == NFPROTO_IPV6)
			scan->mesh[FAMILY_V6] = true;
}

static void on_chain(void *userdata, uint8_t family, struct nft_payload attributes)
{
	struct scan *scan = userdata;

	if (mesh_chain(nft_text(attributes, NFTA_CHAIN_NAME)))
		note_mesh(scan, family, nft_text(attributes, NFTA_CHAIN_TABLE));
	if (strcmp(nft_text(attributes, NFTA_CHAIN_TYPE), "nat") != 0)
		return;
	array_push(
		scan->arena, &scan->chains,
		(struct nat_chain){
			.family = family,
			.table = arena_strdup(scan->arena, nft_text(attributes, NFTA_CHAIN_TABLE)),
			.name = arena_strdup(scan->arena, nft_text(attributes, NFTA_CHAIN_NAME)),
		});
}

/* Tables of a Kuma redirect in native nftables, whoever made it. */
static bool is_mesh_table(const char *table)
{
	return strncasecmp(table, "kuma_mesh", 9) == 0 || strncasecmp(table, "tproxyd", 7) == 0;
}

/* Jumps and comments stand in a rule as plain bytes, whatever expression holds them. */
static bool mentions(struct nft_payload rule, const char *text)
{
	return rule.data && memmem(rule.data, rule.len, text, strlen(text));
}

static void on_rule(void *userdata, uint8_t family, struct nft_payload attributes)
{
	struct scan *scan = userdata;
	const char *table = nft_text(attributes, NFTA_RULE_TABLE);
	const char *chain = nft_text(attributes, NFTA_RULE_CHAIN);
	struct nft_payload body = nft_attribute(attributes, NFTA_RULE_EXPRESSIONS);

	if (mentions(body, KUMA_COMMENT))
		note_mesh(scan, family, table);
	if (is_mesh_table(table) || mentions(body, KUMA_MESH_PREFIX) ||
	    mentions(body, KUMA_COMMENT))
		return;
	for (size_t i = 0; i < scan->chains.n; i++) {
		const struct nat_chain *nat = &scan->chains.items[i];

		if (nat->family == family && strcmp(nat->table, table) == 0 &&
		    strcmp(nat->name, chain) == 0)
			scan->foreign = true;
	}
}

/* One listing of chains and rules. */
static int scan_once(struct scan *scan)
{
	_close_ int fd = nft_open();

	return fd < 0 ? fd : nft_dump_rules(fd, on_chain, on_rule, scan);
}

static int scan_all(struct scan *ret, struct error *err)
{
	struct arena arena = { 0 };
	int r = -EINTR;

	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		*ret = (struct scan){ .arena = &arena };
		r = scan_once(ret);
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
