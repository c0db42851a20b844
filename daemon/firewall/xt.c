/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rules of xtables; their matches and targets may stand in nf_tables' rules too (iptables-nft). */

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>

#include <libiptc/libip6tc.h>

#include "common/base/array.h"
#include "common/rules/marks.h"
#include "common/rules/ruleset.h"
#include "common/rules/xt_entry.h"
#include "daemon/firewall/walk.h"
#include "daemon/netfilter/xt/family.h"

_Static_assert(XT_TCP_INV_SRCPT == XT_UDP_INV_SRCPT && XT_TCP_INV_DSTPT == XT_UDP_INV_DSTPT,
	       "one set of bits for both protocols");

static enum answer ask_ports(struct packet *packet, const uint16_t sports[static 2],
			     const uint16_t dports[static 2], uint8_t inverted)
{
	enum answer sender = ask_port(packet, PORT_CLIENT, sports[0], sports[1]);
	enum answer port = ask_port(packet, PORT_REACHED, dports[0], dports[1]);

	return answer_both(answer_unless(sender, inverted & XT_TCP_INV_SRCPT),
			   answer_unless(port, inverted & XT_TCP_INV_DSTPT));
}

static enum answer match_tcp(struct packet *packet, const void *data)
{
	const struct xt_tcp *tcp = data;
	/* The first packet has SYN and nothing else of what can be asked for. */
	bool syn = (TH_SYN & tcp->flg_mask) == tcp->flg_cmp;

	if (syn == !!(tcp->invflags & XT_TCP_INV_FLAGS))
		return NO;
	return answer_both(tcp->option || (tcp->invflags & XT_TCP_INV_OPTION) ? MAYBE : YES,
			   ask_ports(packet, tcp->spts, tcp->dpts, tcp->invflags));
}

static enum answer match_udp(struct packet *packet, const void *data)
{
	const struct xt_udp *udp = data;

	return ask_ports(packet, udp->spts, udp->dpts, udp->invflags);
}

static enum answer match_multiport(struct packet *packet, const void *data)
{
	const struct xt_multiport_v1 *info = data;
	enum answer found = NO;

	if (info->flags == XT_MULTIPORT_SOURCE)
		return MAYBE;
	for (unsigned i = 0; i < info->count && i < XT_MULTI_PORTS; i++) {
		uint16_t lo = info->ports[i], hi = lo;

		if (info->pflags[i] && i + 1 < XT_MULTI_PORTS)
			hi = info->ports[++i];
		if (ask_port(packet, PORT_REACHED, lo, hi) == YES)
			found = YES;
	}
	/* Of either side: the client's may be one of them. */
	return answer_both(answer_unless(found, info->invert),
			   info->flags == XT_MULTIPORT_DESTINATION ? YES : MAYBE);
}

/* One of the things that it may ask for. */
static enum answer conntrack_part(const struct xt_conntrack_mtinfo3 *info, unsigned flag, bool is)
{
	return info->match_flags & flag ? answer_of(is, info->invert_flags & flag) : YES;
}

static enum answer match_conntrack(struct packet *packet, const void *data)
{
	const struct xt_conntrack_mtinfo3 *info = data;
	const unsigned known = XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS | XT_CONNTRACK_PROTO |
			       XT_CONNTRACK_DIRECTION | XT_CONNTRACK_ORIGDST_PORT;
	bool new = info->state_mask &XT_CONNTRACK_STATE_BIT(IP_CT_NEW);
	bool nat = info->state_mask & XT_CONNTRACK_STATE_DNAT && packet->redirected;
	enum answer answer = info->match_flags & ~known ? MAYBE : YES;

	answer = answer_both(answer, conntrack_part(info, XT_CONNTRACK_STATE, new || nat));
	answer = answer_both(
		answer, conntrack_part(info, XT_CONNTRACK_PROTO, info->l4proto == packet->proto));
	answer = answer_both(answer, conntrack_part(info, XT_CONNTRACK_DIRECTION, true));
	if (info->match_flags & XT_CONNTRACK_ORIGDST_PORT)
		answer = answer_both(answer,
				     conntrack_part(info, XT_CONNTRACK_ORIGDST_PORT,
						    ask_port(packet, PORT_ASKED, info->origdst_port,
							     info->origdst_port_high) == YES));
	return answer;
}

static enum answer match_state(struct packet *packet _unused_, const void *data)
{
	const struct xt_state_info *info = data;

	return answer_of(info->statemask & XT_STATE_BIT(IP_CT_NEW), false);
}

static enum answer match_comment(struct packet *packet _unused_, const void *data _unused_)
{
	return YES;
}

enum answer ask_match(struct packet *packet, const char *name, unsigned revision, const void *data)
{
	static const struct {
		const char *name;
		unsigned revision;
		enum answer (*match)(struct packet *packet, const void *data);
	} matches[] = {
		{ "comment", 0, match_comment },
		{ "conntrack", 3, match_conntrack },
		{ "multiport", 1, match_multiport },
		{ "state", 0, match_state },
		{ "tcp", 0, match_tcp },
		{ "udp", 0, match_udp },
	};

	for (size_t i = 0; i < ELEMENTS(matches); i++)
		if (strcmp(name, matches[i].name) == 0 && revision == matches[i].revision)
			return matches[i].match(packet, data);
	return MAYBE;
}

int target_verdict(const char *name, const void *data)
{
	static const struct {
		const char *name;
		int verdict;
	} targets[] = {
		{ "ACCEPT", NF_ACCEPT }, { "DROP", NF_DROP },      { "NOTRACK", VERDICT_UNTRACK },
		{ "REJECT", NF_DROP },   { "RETURN", NFT_RETURN },
	};
	const struct xt_ct_target_info *ct = data; /* the flags come first in every revision */

	for (size_t i = 0; i < ELEMENTS(targets); i++)
		if (strcmp(name, targets[i].name) == 0)
			return targets[i].verdict;
	return strcmp(name, "CT") == 0 && (ct->flags & XT_CT_NOTRACK) ? VERDICT_UNTRACK : NFT_JUMP;
}

/* What an entry asks for before its matches. */
static void ask_head(struct asking *a, const struct xt_layout *layout, const unsigned char *entry)
{
	static const unsigned char none[16];
	unsigned char inverted = entry[layout->inverted];
	const char *iif = (const char *)entry + layout->iif;
	uint16_t proto;

	memcpy(&proto, entry + layout->proto, sizeof(proto));
	if (proto != 0)
		rule_asks(a, answer_of(proto == a->packet->proto, inverted & IPT_INV_PROTO));
	if (memcmp(entry + layout->src_mask, none, layout->address) != 0 ||
	    memcmp(entry + layout->dst_mask, none, layout->address) != 0 || entry[layout->oif] ||
	    (!layout->proto_flag && (entry[layout->flags] & IPT_F_FRAG)))
		rule_asks(a, MAYBE);
	if (iif[0])
		rule_asks(a, strcmp(iif, "lo") == 0 ? answer_of(false, inverted & IPT_INV_VIA_IN)
						    : MAYBE);
}

static void judge(struct asking *a)
{
	enum family family = a->packet->family;
	const struct xt_layout *layout = &xt_layouts[family];
	const unsigned char *entry = a->rule->raw;
	const char *target = xt_families[family].get_target(entry, a->chains->userdata);
	bool goes = entry[layout->flags] & (family == FAMILY_V4 ? IPT_F_GOTO : IP6T_F_GOTO);
	const struct xt_entry_match *m = NULL;
	int verdict = target_verdict(target, xt_entry_target(family, entry)->data);

	if (mesh_chain(target))
		return; /* ours */
	ask_head(a, layout, entry);
	while (a->applies != NO && (m = xt_entry_match(family, entry, m)))
		rule_asks(a, ask_match(a->packet, m->u.user.name, m->u.user.revision, m->data));
	rule_says(a, verdict == NFT_JUMP && goes ? NFT_GOTO : verdict, target);
}

static void walk_table(struct arena *arena, enum family family, enum table table,
		       uint16_t inbound_port, struct facts_firewall *ret)
{
	const struct xt_family *f = &xt_families[family];
	struct host_chains chains = {
		.arena = arena,
		.inbound_port = inbound_port,
		.judge = judge,
	};
	struct xt_counters counters;
	const char *name, *policy;
	unsigned tables;

	/* Opening a table that does not exist would make it. */
	if (xt_tables(family, &tables, NULL) > 0 && tables & 1U << table)
		chains.userdata = f->ops->init(table_name(table));
	if (!chains.userdata)
		return;
	for (name = f->ops->first_chain(chains.userdata); name;
	     name = f->ops->next_chain(chains.userdata)) {
		struct host_chain chain = {
			.nfproto = family == FAMILY_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6,
			.table = table_name(table),
			.name = name,
			.hook = name,
		};

		chain_describe(arena, &chain, "legacy");
		policy = f->ops->get_policy(name, &counters, chains.userdata);
		chain.policy = policy && strcmp(policy, "DROP") == 0 ? NF_DROP : NF_ACCEPT;
		for (const void *entry = f->first_rule(name, chains.userdata); entry;
		     entry = f->next_rule(entry, chains.userdata))
			array_push(arena, &chain,
				   (struct host_rule){ .raw = entry, .number = chain.n });
		array_push(arena, &chains, chain);
	}
	if (!arena->failed)
		chains_walk(&chains, ret);
	f->ops->free(chains.userdata);
}

void host_firewall_legacy(struct arena *arena, uint16_t inbound_port, struct facts_firewall *ret)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		walk_table(arena, family, TABLE_FILTER, inbound_port, ret);
		walk_table(arena, family, TABLE_RAW, inbound_port, ret);
	}
}
