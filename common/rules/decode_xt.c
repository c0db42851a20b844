/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/decode_xt.h"

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#include "common/base/array.h"
#include "common/rules/xt_entry.h"

/* A mask that is no prefix is nothing that kumactl takes. */
static void read_net(enum family family, const uint8_t *addr, const uint8_t *mask,
		     struct match_net *ret_net, struct shape *ret)
{
	size_t size = xt_layouts[family].address, len = 0;
	uint8_t plain[16];

	while (len < size * 8 && (mask[len / 8] & (0x80 >> len % 8)))
		len++;
	ip_mask((uint8_t)len, plain);
	if (memcmp(mask, plain, size) != 0)
		ret->other = true;
	ret_net->op = len ? OP_IS : OP_ANY;
	ret_net->net = (struct ip_prefix){ .addr.family = family, .len = (uint8_t)len };
	memcpy(ret_net->net.addr.bytes, addr, size);
}

static void read_head(enum family family, const uint8_t *e, struct shape *ret)
{
	const struct xt_layout *layout = &xt_layouts[family];
	uint8_t inverted = e[layout->inverted];
	const char *iif = (const char *)e + layout->iif;
	uint16_t proto;

	memcpy(&proto, e + layout->proto, sizeof(proto));
	ret->proto = (uint8_t)proto;
	read_net(family, e + layout->src, e + layout->src_mask, &ret->src, ret);
	read_net(family, e + layout->dst, e + layout->dst_mask, &ret->dst, ret);
	if (inverted & IPT_INV_SRCIP)
		ret->src.op = OP_NOT;
	if (inverted & IPT_INV_DSTIP)
		ret->dst.op = OP_NOT;
	memcpy(ret->iif, iif, strnlen(iif, IFNAMSIZ - 1));
	if ((inverted & ~(IPT_INV_SRCIP | IPT_INV_DSTIP)) || e[layout->oif] ||
	    (e[layout->flags] & ~layout->proto_flag))
		ret->other = true;
}

/* One port, or all of them (0); anything else is not such a rule's. */
static uint16_t read_port(const uint16_t range[static 2], struct shape *ret)
{
	if (range[0] == 0 && range[1] == 0xffff)
		return 0;
	if (range[0] != range[1] || range[0] == 0)
		ret->other = true;
	return range[0];
}

/* Each of these returns whether the match is one of kumactl's. */

static bool read_tcp(const void *data, struct shape *ret)
{
	const struct xt_tcp *tcp = data;

	ret->sport = read_port(tcp->spts, ret);
	ret->dport = read_port(tcp->dpts, ret);
	return !tcp->invflags && !tcp->flg_mask && !tcp->option;
}

static bool read_udp(const void *data, struct shape *ret)
{
	const struct xt_udp *udp = data;

	ret->sport = read_port(udp->spts, ret);
	ret->dport = read_port(udp->dpts, ret);
	return !udp->invflags;
}

static bool read_multiport(const void *data, struct shape *ret)
{
	const struct xt_multiport_v1 *multiport = data;

	ret->multiport = true;
	return multiport->flags == XT_MULTIPORT_DESTINATION && !multiport->invert;
}

static bool read_conntrack(const void *data, struct shape *ret)
{
	const struct xt_conntrack_mtinfo3 *conntrack = data;

	ret->invalid = conntrack->match_flags & XT_CONNTRACK_STATE;
	return conntrack->match_flags == XT_CONNTRACK_STATE && !conntrack->invert_flags &&
	       conntrack->state_mask == XT_CONNTRACK_STATE_INVALID;
}

static bool read_owner(const void *data, struct shape *ret)
{
	const struct xt_owner_match_info *owner = data;

	ret->uid = (struct match_uid){ owner->invert ? OP_NOT : OP_IS, owner->uid_min,
				       owner->uid_max, NULL };
	return owner->match == XT_OWNER_UID && !(owner->invert & ~XT_OWNER_UID);
}

static bool read_comment(const void *data, struct shape *ret)
{
	const struct xt_comment_info *info = data;

	bool ours = mesh_comment(info->comment);

	ret->commented = ret->commented || ours;
	return ours;
}

static void read_match(const struct xt_entry_match *m, struct shape *ret)
{
	static const struct {
		const char *name;
		uint8_t revision;
		bool (*read)(const void *data, struct shape *ret);
	} known[] = {
		{ "tcp", 0, read_tcp },
		{ "udp", 0, read_udp },
		{ "multiport", 1, read_multiport },
		{ "conntrack", 3, read_conntrack },
		{ "owner", 1, read_owner },
		{ "comment", 0, read_comment },
	};

	for (size_t i = 0; i < ELEMENTS(known); i++) {
		if (strcmp(m->u.user.name, known[i].name) != 0 ||
		    m->u.user.revision != known[i].revision)
			continue;
		if (!known[i].read(m->data, ret))
			ret->other = true;
		return;
	}
	ret->other = true;
}

static void read_zone(const struct xt_entry_target *target, struct shape *ret)
{
	const struct xt_ct_target_info_v1 *ct = (const void *)target->data;

	if (target->u.user.revision != 2 || ct->flags || ct->ct_events || ct->exp_events ||
	    ct->helper[0])
		ret->other = true;
	ret->number = ct->zone;
}

static void read_redirect(enum family family, const struct xt_entry_target *target,
			  struct shape *ret)
{
	const struct nf_nat_ipv4_multi_range_compat *v4 = (const void *)target->data;
	const struct nf_nat_range *v6 = (const void *)target->data;
	unsigned flags = family == FAMILY_V4 ? v4->range[0].flags : v6->flags;
	uint16_t lo = family == FAMILY_V4 ? v4->range[0].min.all : v6->min_proto.all;
	uint16_t hi = family == FAMILY_V4 ? v4->range[0].max.all : v6->max_proto.all;

	if (flags != NF_NAT_RANGE_PROTO_SPECIFIED || lo != hi)
		ret->other = true;
	ret->number = ntohs(lo);
}

static void read_log(const struct xt_entry_target *target, struct shape *ret)
{
	const struct xt_log_info *info = (const void *)target->data;

	ret->number = info->level;
	memcpy(ret->prefix, info->prefix, strnlen(info->prefix, sizeof(info->prefix)));
	ret->other = ret->other || info->logflags;
}

void decode_xt(enum family family, const void *entry, struct shape *ret)
{
	const struct xt_entry_target *target = xt_entry_target(family, entry);
	const struct xt_entry_match *m = NULL;

	*ret = (struct shape){ 0 };
	read_head(family, entry, ret);
	while ((m = xt_entry_match(family, entry, m)))
		read_match(m, ret);
	shape_target(ret, target->u.user.name);
	ret->ours = ret->commented || mesh_chain(ret->name);
	if (ret->target == VERDICT_CT_ZONE)
		read_zone(target, ret);
	else if (ret->target == VERDICT_REDIRECT)
		read_redirect(family, target, ret);
	else if (ret->target == VERDICT_LOG)
		read_log(target, ret);
}
