/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Matches of xtables, which nf_tables' rules may have too (iptables-nft). */

#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>

#include "common/base/attr.h"
#include "daemon/firewall/walk.h"

#define TCP_SYN 0x02

/* Ports of the packet, where the first two are any unless they say otherwise. */
static void ask_ports(struct asking *a, const uint16_t sports[static 2],
		      const uint16_t dports[static 2], bool not_sports, bool not_dports)
{
	if (dports[0] != 0 || dports[1] != UINT16_MAX || not_dports)
		rule_asks(a, packet_port(a->packet, false, dports[0], dports[1]) != not_dports);
	if (sports[0] == 0 && sports[1] == UINT16_MAX && !not_sports)
		return;
	/* What is asked for privileged ports of the sender is about answers. */
	if (a->packet->tracking && sports[1] < IPPORT_RESERVED)
		rule_asks(a, not_sports);
	else
		a->maybe = true;
}

static void match_tcp(struct asking *a, unsigned revision _unused_, const void *data)
{
	const struct xt_tcp *tcp = data;
	/* The first packet has SYN and nothing else of what can be asked for. */
	bool syn = (TCP_SYN & tcp->flg_mask) == tcp->flg_cmp;

	ask_ports(a, tcp->spts, tcp->dpts, tcp->invflags & XT_TCP_INV_SRCPT,
		  tcp->invflags & XT_TCP_INV_DSTPT);
	if (tcp->option != 0 || (tcp->invflags & XT_TCP_INV_OPTION))
		a->maybe = true;
	rule_asks(a, a->packet->proto == IPPROTO_TCP);
	rule_asks(a, syn != !!(tcp->invflags & XT_TCP_INV_FLAGS));
}

static void match_multiport(struct asking *a, unsigned revision, const void *data)
{
	const struct xt_multiport_v1 *info = data;
	bool found = false;

	if (revision != 1 || info->flags != XT_MULTIPORT_DESTINATION)
		a->maybe = true;
	if (revision != 1 || info->flags == XT_MULTIPORT_SOURCE)
		return;
	for (unsigned i = 0; i < info->count && i < XT_MULTI_PORTS; i++) {
		uint16_t lo = info->ports[i], hi = lo;

		if (info->pflags[i] && i + 1 < XT_MULTI_PORTS)
			hi = info->ports[++i];
		found |= packet_port(a->packet, false, lo, hi);
	}
	rule_asks(a, found != !!info->invert);
}

static void match_conntrack(struct asking *a, unsigned revision, const void *data)
{
	const struct xt_conntrack_mtinfo3 *info = data;
	unsigned rest = info->match_flags, not = info->invert_flags;

	if (revision != 2 && revision != 3) {
		a->maybe = true;
		return;
	}
	if (rest & XT_CONNTRACK_STATE) {
		bool new = info->state_mask &XT_CONNTRACK_STATE_BIT(IP_CT_NEW);
		bool nat = info->state_mask & XT_CONNTRACK_STATE_DNAT && a->packet->redirected;

		rule_asks(a, (new || nat) == !(not &XT_CONNTRACK_STATE));
	}
	if (rest & XT_CONNTRACK_PROTO)
		rule_asks(a, (info->l4proto == a->packet->proto) == !(not &XT_CONNTRACK_PROTO));
	if (rest & XT_CONNTRACK_DIRECTION)
		rule_asks(a, !(not &XT_CONNTRACK_DIRECTION));
	rest &= ~(unsigned)(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS | XT_CONNTRACK_PROTO |
			    XT_CONNTRACK_DIRECTION);
	if (revision == 3 && (rest & XT_CONNTRACK_ORIGDST_PORT)) {
		rule_asks(a, packet_port(a->packet, true, info->origdst_port,
					 info->origdst_port_high) ==
				     !(not &XT_CONNTRACK_ORIGDST_PORT));
		rest &= ~(unsigned)XT_CONNTRACK_ORIGDST_PORT;
	}
	a->maybe |= rest != 0;
}

static void match_state(struct asking *a, unsigned revision _unused_, const void *data)
{
	const struct xt_state_info *info = data;

	rule_asks(a, info->statemask & XT_STATE_BIT(IP_CT_NEW));
}

static void match_udp(struct asking *a, unsigned revision _unused_, const void *data)
{
	const struct xt_udp *udp = data;

	rule_asks(a, a->packet->proto == IPPROTO_UDP);
	if (a->packet->proto == IPPROTO_UDP)
		ask_ports(a, udp->spts, udp->dpts, udp->invflags & XT_UDP_INV_SRCPT,
			  udp->invflags & XT_UDP_INV_DSTPT);
}

static void match_comment(struct asking *a _unused_, unsigned revision _unused_,
			  const void *data _unused_)
{
}

void rule_asks_xt(struct asking *a, const char *name, unsigned revision, const void *data,
		  size_t len)
{
	static const struct {
		const char *name;
		void (*match)(struct asking *a, unsigned revision, const void *data);
	} matches[] = {
		{ "comment", match_comment },
		{ "conntrack", match_conntrack },
		{ "multiport", match_multiport },
		{ "state", match_state },
		{ "tcp", match_tcp },
		{ "udp", match_udp },
	};
	/* Structures have grown at their ends: what an older one lacks is zero. */
	_Alignas(max_align_t) unsigned char whole[512] = { 0 };

	memcpy(whole, data, len < sizeof(whole) ? len : sizeof(whole));
	for (size_t i = 0; i < ELEMENTS(matches); i++) {
		if (strcmp(name, matches[i].name) == 0) {
			matches[i].match(a, revision, whole);
			return;
		}
	}
	a->maybe = true;
}

enum verdict xt_target_verdict(const char *name, const void *data, size_t len)
{
	uint16_t flags = 0;

	/* The flags come first in every revision. */
	if (strcmp(name, "CT") == 0 && len >= sizeof(flags))
		memcpy(&flags, data, sizeof(flags));
	if (strcmp(name, "NOTRACK") == 0 || (flags & XT_CT_NOTRACK))
		return VERDICT_UNTRACK;
	return strcmp(name, "REJECT") == 0 ? VERDICT_DROP : VERDICT_CONTINUE;
}
