/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>

#include "common/base/array.h"
#include "daemon/firewall/firewall.h"

#define TCP_SYN 0x02

/* What the packet of interest is, in the words of conntrack. */
#define STATE_NEW XT_CONNTRACK_STATE_BIT(IP_CT_NEW)

void host_firewall_ports(struct filter_rule *rule, struct filter_ports *which,
			 const struct filter_range_list *ranges, bool negated)
{
	if (which->n > 0 || ranges->n == 0)
		rule->partly = true;
	else
		*which = (struct filter_ports){ ranges->items, ranges->n, negated };
}

/* The smaller of what there is and what is wanted: structures have grown at their ends. */
static void copy_info(const struct xt_info *match, void *ret, size_t size)
{
	memset(ret, 0, size);
	memcpy(ret, match->data, match->len < size ? match->len : size);
}

static void match_tcp(struct arena *arena, const struct xt_info *match, struct filter_rule *rule)
{
	struct filter_range_list ports = { 0 };
	struct xt_tcp tcp;
	bool syn;

	copy_info(match, &tcp, sizeof(tcp));
	if (tcp.dpts[0] != 0 || tcp.dpts[1] != UINT16_MAX || (tcp.invflags & XT_TCP_INV_DSTPT)) {
		array_push(arena, &ports, (struct filter_range){ tcp.dpts[0], tcp.dpts[1] });
		host_firewall_ports(rule, &rule->port, &ports, tcp.invflags & XT_TCP_INV_DSTPT);
	}
	if (tcp.spts[0] != 0 || tcp.spts[1] != UINT16_MAX || tcp.option != 0 ||
	    (tcp.invflags & (XT_TCP_INV_SRCPT | XT_TCP_INV_OPTION)))
		rule->partly = true;
	/* The first packet has SYN and nothing else of what can be asked for. */
	syn = (TCP_SYN & tcp.flg_mask) == tcp.flg_cmp;
	if (syn == !!(tcp.invflags & XT_TCP_INV_FLAGS))
		rule->never = true;
}

static void match_multiport(struct arena *arena, const struct xt_info *match,
			    struct filter_rule *rule)
{
	struct filter_range_list ports = { 0 };
	struct xt_multiport_v1 info;

	if (match->revision != 1) {
		rule->partly = true;
		return;
	}
	copy_info(match, &info, sizeof(info));
	if (info.flags != XT_MULTIPORT_DESTINATION)
		rule->partly = true;
	if (info.flags == XT_MULTIPORT_SOURCE)
		return;
	for (unsigned i = 0; i < info.count && i < XT_MULTI_PORTS; i++) {
		struct filter_range range = { info.ports[i], info.ports[i] };

		if (info.pflags[i] && i + 1 < XT_MULTI_PORTS)
			range.hi = info.ports[++i];
		array_push(arena, &ports, range);
	}
	host_firewall_ports(rule, &rule->port, &ports, info.invert);
}

/* A connection that is new, and may be redirected. */
static void match_state(unsigned mask, bool inverted, struct filter_rule *rule)
{
	if (mask & STATE_NEW)
		rule->never |= inverted;
	else if (mask & XT_CONNTRACK_STATE_DNAT)
		*(inverted ? &rule->redirected_never : &rule->redirected_only) = true;
	else
		rule->never |= !inverted;
}

static void match_conntrack(struct arena *arena, const struct xt_info *match,
			    struct filter_rule *rule)
{
	struct filter_range_list ports = { 0 };
	struct xt_conntrack_mtinfo3 info;
	unsigned rest;

	if (match->revision != 2 && match->revision != 3) {
		rule->partly = true;
		return;
	}
	copy_info(match, &info, sizeof(info));
	rest = info.match_flags & ~(unsigned)(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS |
					      XT_CONNTRACK_PROTO | XT_CONNTRACK_DIRECTION);
	if (info.match_flags & XT_CONNTRACK_STATE)
		match_state(info.state_mask, info.invert_flags & XT_CONNTRACK_STATE, rule);
	if ((info.match_flags & XT_CONNTRACK_PROTO) &&
	    (info.l4proto == IPPROTO_TCP) == !!(info.invert_flags & XT_CONNTRACK_PROTO))
		rule->never = true;
	if ((info.match_flags & XT_CONNTRACK_DIRECTION) &&
	    (info.invert_flags & XT_CONNTRACK_DIRECTION))
		rule->never = true;
	if (match->revision == 3 && (info.match_flags & XT_CONNTRACK_ORIGDST_PORT)) {
		array_push(arena, &ports,
			   (struct filter_range){ info.origdst_port, info.origdst_port_high });
		host_firewall_ports(rule, &rule->original, &ports,
				    info.invert_flags & XT_CONNTRACK_ORIGDST_PORT);
		rest &= ~(unsigned)XT_CONNTRACK_ORIGDST_PORT;
	}
	if (rest)
		rule->partly = true;
}

void host_firewall_match(struct arena *arena, const struct xt_info *match, struct filter_rule *rule)
{
	struct xt_state_info state;

	if (strcmp(match->name, "tcp") == 0) {
		match_tcp(arena, match, rule);
	} else if (strcmp(match->name, "udp") == 0) {
		rule->never = true;
	} else if (strcmp(match->name, "multiport") == 0) {
		match_multiport(arena, match, rule);
	} else if (strcmp(match->name, "conntrack") == 0) {
		match_conntrack(arena, match, rule);
	} else if (strcmp(match->name, "state") == 0) {
		copy_info(match, &state, sizeof(state));
		rule->never |= !(state.statemask & XT_STATE_BIT(IP_CT_NEW));
	} else if (strcmp(match->name, "comment") != 0) {
		rule->partly = true;
	}
}

enum filter_verdict host_firewall_target(const char *name)
{
	return strcmp(name, "REJECT") == 0 ? FILTER_DROP : FILTER_CONTINUE;
}
