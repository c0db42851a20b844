/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/draft.h"

#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>

#define TCP_SYN 0x02

void draft_asks(struct draft *draft, bool redirected, bool direct)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++)
		if (!(packet_redirected(kind) ? redirected : direct))
			draft->excludes[kind] = true;
}

void draft_ports(struct draft *draft, struct filter_ports *which,
		 const struct filter_range_list *ranges, bool negated)
{
	if (which->n > 0 || ranges->n == 0)
		draft->rule.partly = true;
	else
		*which = (struct filter_ports){ ranges->items, ranges->n, negated };
}

void draft_port(struct draft *draft, struct filter_ports *which, struct filter_range range,
		bool negated)
{
	struct filter_range_list ranges = { 0 };

	array_push(draft->arena, &ranges, range);
	draft_ports(draft, which, &ranges, negated);
}

static void match_tcp(struct draft *draft, unsigned revision _unused_, const void *data)
{
	const struct xt_tcp *tcp = data;
	/* The first packet has SYN and nothing else of what can be asked for. */
	bool syn = (TCP_SYN & tcp->flg_mask) == tcp->flg_cmp;
	bool inverted = tcp->invflags & XT_TCP_INV_DSTPT;

	if (tcp->dpts[0] != 0 || tcp->dpts[1] != UINT16_MAX || inverted)
		draft_port(draft, &draft->rule.port,
			   (struct filter_range){ tcp->dpts[0], tcp->dpts[1] }, inverted);
	if (tcp->spts[0] != 0 || tcp->spts[1] != UINT16_MAX || tcp->option != 0 ||
	    (tcp->invflags & (XT_TCP_INV_SRCPT | XT_TCP_INV_OPTION)))
		draft->rule.partly = true;
	draft_asks_always(draft, syn != !!(tcp->invflags & XT_TCP_INV_FLAGS));
}

static void match_multiport(struct draft *draft, unsigned revision, const void *data)
{
	const struct xt_multiport_v1 *info = data;
	struct filter_range_list ports = { 0 };

	if (revision != 1 || info->flags != XT_MULTIPORT_DESTINATION)
		draft->rule.partly = true;
	if (revision != 1 || info->flags == XT_MULTIPORT_SOURCE)
		return;
	for (unsigned i = 0; i < info->count && i < XT_MULTI_PORTS; i++) {
		struct filter_range range = { info->ports[i], info->ports[i] };

		if (info->pflags[i] && i + 1 < XT_MULTI_PORTS)
			range.hi = info->ports[++i];
		array_push(draft->arena, &ports, range);
	}
	draft_ports(draft, &draft->rule.port, &ports, info->invert);
}

static void match_conntrack(struct draft *draft, unsigned revision, const void *data)
{
	const struct xt_conntrack_mtinfo3 *info = data;
	unsigned rest = info->match_flags, not = info->invert_flags;

	if (revision != 2 && revision != 3) {
		draft->rule.partly = true;
		return;
	}
	if (rest & XT_CONNTRACK_STATE) {
		bool new = info->state_mask &XT_CONNTRACK_STATE_BIT(IP_CT_NEW);
		bool nat = info->state_mask & XT_CONNTRACK_STATE_DNAT;

		draft_asks(draft, (new || nat) == !(not &XT_CONNTRACK_STATE),
			   new == !(not &XT_CONNTRACK_STATE));
	}
	if (rest & XT_CONNTRACK_PROTO)
		draft_asks_always(draft,
				  (info->l4proto == IPPROTO_TCP) == !(not &XT_CONNTRACK_PROTO));
	if (rest & XT_CONNTRACK_DIRECTION)
		draft_asks_always(draft, !(not &XT_CONNTRACK_DIRECTION));
	rest &= ~(unsigned)(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS | XT_CONNTRACK_PROTO |
			    XT_CONNTRACK_DIRECTION);
	if (revision == 3 && (rest & XT_CONNTRACK_ORIGDST_PORT)) {
		draft_port(draft, &draft->rule.original,
			   (struct filter_range){ info->origdst_port, info->origdst_port_high },
			   not &XT_CONNTRACK_ORIGDST_PORT);
		rest &= ~(unsigned)XT_CONNTRACK_ORIGDST_PORT;
	}
	if (rest)
		draft->rule.partly = true;
}

static void match_state(struct draft *draft, unsigned revision _unused_, const void *data)
{
	const struct xt_state_info *info = data;

	draft_asks_always(draft, info->statemask & XT_STATE_BIT(IP_CT_NEW));
}

static void match_udp(struct draft *draft, unsigned revision _unused_, const void *data _unused_)
{
	draft_asks_always(draft, false);
}

static const struct {
	const char *name;
	void (*read)(struct draft *draft, unsigned revision, const void *data);
} matches[] = {
	{ "comment", NULL },
	{ "conntrack", match_conntrack },
	{ "multiport", match_multiport },
	{ "state", match_state },
	{ "tcp", match_tcp },
	{ "udp", match_udp },
};

void draft_match(struct draft *draft, const struct draft_match *match)
{
	/* Structures have grown at their ends: what an older one lacks is zero. */
	_Alignas(max_align_t) unsigned char data[512] = { 0 };

	memcpy(data, match->data, match->len < sizeof(data) ? match->len : sizeof(data));
	for (size_t i = 0; i < ELEMENTS(matches); i++) {
		if (strcmp(match->name, matches[i].name) == 0) {
			if (matches[i].read)
				matches[i].read(draft, match->revision, data);
			return;
		}
	}
	draft->rule.partly = true;
}

enum filter_verdict draft_target(const char *name)
{
	return strcmp(name, "REJECT") == 0 ? FILTER_DROP : FILTER_CONTINUE;
}

void draft_end(const struct draft *draft, struct filter_chain *chain)
{
	struct filter_rule rule = draft->rule;
	bool direct = false, redirected = false, mixed = false;

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		const bool *excludes = &draft->excludes[(size_t)2 * f];
		bool d = !excludes[0], r = !excludes[1];

		rule.not_for[f] = !d && !r;
		if (rule.not_for[f])
			continue;
		mixed |= (direct || redirected) && (d != direct || r != redirected);
		direct |= d;
		redirected |= r;
	}
	if (!direct && !redirected)
		return;
	rule.redirected_only = !direct;
	rule.redirected_never = !redirected;
	rule.partly |= mixed;
	array_push(draft->arena, chain, rule);
}
