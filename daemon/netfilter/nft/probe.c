/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#include "common/base/attr.h"
#include "daemon/netfilter/nft/owner.h"
#include "daemon/netfilter/nft/transport.h"
#include "daemon/os/fd.h"
#include "daemon/os/netlink.h"

/* Whoever owns the table that is in would keep us from replacing it. */
#define PROBE_TABLE "tproxyd-probe"

/* One rule of what is asked for, in a built-in chain. */
struct question {
	enum table table;
	const char *chain;
	struct rule rule;
};

/* Those of a table follow one another. */
enum {
	REDIRECT,
	LOCAL,
	ZONES,
	LOG,
	DROP_INVALID,
	REFUSAL,
	QUESTIONS,
};

static const struct question questions[QUESTIONS] = {
	[REDIRECT] = {
		TABLE_NAT,
		"OUTPUT",
		{
			.comment = "x",
			.proto = IPPROTO_TCP,
			.uid = { .op = OP_IS, .lo = 1, .hi = 2 },
			.dport = 1,
			.verdict = { VERDICT_REDIRECT, NULL, 15001 },
		},
	},
	[LOCAL] = {
		TABLE_NAT,
		"PREROUTING",
		{
			.proto = IPPROTO_TCP,
			.local_dst = true,
			.verdict = { VERDICT_DNAT, NULL, 15006 },
		},
	},
	[ZONES] = {
		TABLE_RAW,
		"OUTPUT",
		{ .proto = IPPROTO_UDP, .dport = 53, .verdict = { VERDICT_CT_ZONE, NULL, 1 } },
	},
	[LOG] = { TABLE_RAW, "PREROUTING", { .verdict = { VERDICT_LOG, "x", 7 } } },
	[DROP_INVALID] = {
		TABLE_MANGLE,
		"PREROUTING",
		{ .ctstate_invalid = true, .verdict = { VERDICT_DROP, NULL, 0 } },
	},
	[REFUSAL] = {
		TABLE_FILTER,
		"INPUT",
		{
			.proto = IPPROTO_TCP,
			.orig_dport = 1,
			.verdict = { VERDICT_REJECT, NULL, 0 },
		},
	},
};

/* Whether the kernel takes the rules of the families that are redirected: 0, or what it refuses one with. */
static int judge(const struct ruleset *rules, enum nft_owner owner, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	_cleanup_(nft_batch_done) struct nft_batch batch = { 0 };
	struct netfilter_channel channel = { .fd = -EBADF };
	struct nft_ruleset lowered;
	int r;

	lower_nft(&arena, rules, &lowered);
	lowered.table = PROBE_TABLE;
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		lowered.family[f].leave = !rules->family[f].enabled;
	encode_nft(&lowered, owner, 0, &batch);
	if (arena.failed)
		return error_sys(err, -ENOMEM, "probe nf_tables");
	r = nft_channel_open(&channel, err);
	if (r == 0)
		r = nft_transact(&channel, &batch, batch.end, err);
	close_fdp(&channel.fd);
	return r == NFT_UNANSWERED ? -EIO : r;
}

/* Whether the kernel takes the rules of so many questions. */
static int ask(enum family family, size_t first, size_t n, enum nft_owner owner, struct error *err)
{
	struct ruleset rules = { .level = LEVEL_FULL };
	struct rule rule[QUESTIONS];
	struct chain chain[QUESTIONS];

	rules.family[family].enabled = true;
	for (size_t i = first; i < first + n; i++) {
		struct table_rules *table = &rules.family[family].table[questions[i].table];

		rule[i] = questions[i].rule;
		chain[i] = (struct chain){ questions[i].chain, true, &rule[i], 1 };
		if (!table->n)
			table->chains = &chain[i];
		table->n++;
	}
	return judge(&rules, owner, err);
}

/* What is said where the kernel does not take the rule of the question; NULL where it does. */
static const char *lack(enum family family, size_t question, const char *sentence)
{
	struct error why;

	return ask(family, question, 1, NFT_UNOWNED, &why) < 0 ? sentence : NULL;
}

int nft_probe(_unused_ enum check_purpose purpose, enum family family, struct facts_family *ret,
	      struct error *err)
{
	static const char *const none[FAMILY_COUNT] = {
		"nf_tables of this kernel cannot redirect",
		"nf_tables of this kernel cannot redirect IPv6",
	};
	struct facts_abilities *have = &ret->ability[BACKEND_NFTABLES];
	struct error why;
	int r = ask(family, 0, QUESTIONS, NFT_OWNED, &why);

	if (r == 0)
		return 0;
	r = ask(family, REDIRECT, 1, NFT_UNOWNED, &why);
	if (r == -ENOMEM)
		return error_set(err, r, "%s", why.text);
	if (netlink_nft_is_absent(r))
		have->no_redirect = "this kernel has no nf_tables";
	/* Without the right to look there is also none to change anything. */
	else if (r < 0 && r != -EPERM)
		have->no_redirect = none[family];
	if (r < 0)
		return 0;
	if (ask(family, REDIRECT, 1, NFT_OWNED, &why) < 0)
		have->no_owner = "this kernel's tables have no owner (from Linux 5.12 on they do): "
				 "others can change them, and they outlive a killed tproxyd";
	have->no_zones = lack(family, ZONES, "nf_tables of this kernel cannot set conntrack zones");
	have->no_drop_invalid = lack(family, DROP_INVALID,
				     "nf_tables of this kernel does not know conntrack states");
	have->no_local = lack(family, LOCAL,
			      "nf_tables of this kernel cannot redirect to the address that a "
			      "packet was sent to");
	have->no_log = lack(family, LOG, "nf_tables of this kernel cannot log");
	have->no_refusal = lack(family, REFUSAL,
				"nf_tables of this kernel cannot refuse connections by the port "
				"that was asked for");
	return 0;
}

int nft_validate(const struct ruleset *rules, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct nft_look found;
	int r = judge(rules, NFT_UNOWNED, err);

	if (r == -EPERM)
		return NETFILTER_ABSENT;
	if (netlink_nft_is_absent(r))
		return error_set(err, r, "this kernel has no nf_tables");
	if (r == 0)
		r = nft_look(&arena, &found, err);
	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		if (found.family[f].owned)
			r = nft_owner_refuse(f, &found.family[f], err);
	return r;
}
