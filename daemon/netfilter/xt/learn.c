/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/xt.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "common/base/array.h"

/* A mask that is no prefix is nothing that kumactl takes. */
static void read_net(enum family family, const void *addr, const void *mask, bool inverted,
		     enum op *ret_op, struct ip_prefix *ret_net, struct shape *ret)
{
	const uint8_t *bytes = mask;
	size_t size = family == FAMILY_V4 ? 4 : 16, len = 0;

	while (len < size * 8 && (bytes[len / 8] & (0x80 >> len % 8)))
		len++;
	for (size_t i = len; i < size * 8; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			ret->other = true;
	if (len == 0 && !inverted)
		return;
	*ret_op = inverted ? OP_NOT : OP_IS;
	ret_net->addr.family = family;
	memcpy(ret_net->addr.bytes, addr, size);
	ret_net->len = (uint8_t)len;
}

static void read_head_v4(const struct ipt_entry *e, struct shape *ret)
{
	ret->proto = (uint8_t)e->ip.proto;
	read_net(FAMILY_V4, &e->ip.src, &e->ip.smsk, e->ip.invflags & IPT_INV_SRCIP, &ret->src,
		 &ret->src_net, ret);
	read_net(FAMILY_V4, &e->ip.dst, &e->ip.dmsk, e->ip.invflags & IPT_INV_DSTIP, &ret->dst,
		 &ret->dst_net, ret);
	memcpy(ret->iif, e->ip.iniface, strnlen(e->ip.iniface, sizeof(ret->iif) - 1));
	if ((e->ip.invflags & ~(IPT_INV_SRCIP | IPT_INV_DSTIP)) || e->ip.flags || e->ip.outiface[0])
		ret->other = true;
}

static void read_head_v6(const struct ip6t_entry *e, struct shape *ret)
{
	ret->proto = (uint8_t)e->ipv6.proto;
	read_net(FAMILY_V6, &e->ipv6.src, &e->ipv6.smsk, e->ipv6.invflags & IP6T_INV_SRCIP,
		 &ret->src, &ret->src_net, ret);
	read_net(FAMILY_V6, &e->ipv6.dst, &e->ipv6.dmsk, e->ipv6.invflags & IP6T_INV_DSTIP,
		 &ret->dst, &ret->dst_net, ret);
	memcpy(ret->iif, e->ipv6.iniface, strnlen(e->ipv6.iniface, sizeof(ret->iif) - 1));
	if ((e->ipv6.invflags & ~(IP6T_INV_SRCIP | IP6T_INV_DSTIP)) ||
	    (e->ipv6.flags & ~IP6T_F_PROTO) || e->ipv6.outiface[0])
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

static void read_owner(const struct xt_owner_match_info *owner, struct shape *ret)
{
	ret->owner = owner->invert ? OP_NOT : OP_IS;
	ret->uid_lo = owner->uid_min;
	ret->uid_hi = owner->uid_max;
	if (owner->match != XT_OWNER_UID || (owner->invert & ~XT_OWNER_UID))
		ret->other = true;
}

static void read_match(const struct xt_entry_match *m, struct shape *ret)
{
	const char *name = m->u.user.name;
	const void *data = m->data;

	if (strcmp(name, "tcp") == 0) {
		const struct xt_tcp *tcp = data;

		ret->sport = read_port(tcp->spts, ret);
		ret->dport = read_port(tcp->dpts, ret);
		ret->other = ret->other || tcp->invflags || tcp->flg_mask || tcp->option;
	} else if (strcmp(name, "udp") == 0) {
		const struct xt_udp *udp = data;

		ret->sport = read_port(udp->spts, ret);
		ret->dport = read_port(udp->dpts, ret);
		ret->other = ret->other || udp->invflags;
	} else if (strcmp(name, "multiport") == 0 && m->u.user.revision == 1) {
		const struct xt_multiport_v1 *multiport = data;

		ret->multiport = true;
		ret->other = ret->other || multiport->flags != XT_MULTIPORT_DESTINATION ||
			     multiport->invert;
	} else if (strcmp(name, "conntrack") == 0 && m->u.user.revision == 3) {
		const struct xt_conntrack_mtinfo3 *conntrack = data;

		ret->invalid = true;
		ret->other = ret->other || conntrack->match_flags != XT_CONNTRACK_STATE ||
			     conntrack->invert_flags ||
			     conntrack->state_mask != XT_CONNTRACK_STATE_INVALID;
	} else if (strcmp(name, "owner") == 0 && m->u.user.revision == 1) {
		read_owner(data, ret);
	} else if (strcmp(name, "comment") == 0) {
		const struct xt_comment_info *info = data;

		if (strncmp(info->comment, COMMENT_PREFIX, strlen(COMMENT_PREFIX)) == 0)
			ret->commented = true;
		else
			ret->other = true;
	} else {
		ret->other = true;
	}
}

static void read_zone(const struct xt_entry_target *target, struct shape *ret)
{
	const struct xt_ct_target_info_v1 *ct = (const void *)target->data;

	if (target->u.user.revision != 2) {
		ret->other = true;
		return;
	}
	ret->target = TARGET_ZONE;
	ret->number = ct->zone;
	ret->other = ret->other || ct->flags || ct->ct_events || ct->exp_events || ct->helper[0];
}

static void read_redirect(enum family family, const struct xt_entry_target *target,
			  struct shape *ret)
{
	const struct nf_nat_ipv4_multi_range_compat *v4 = (const void *)target->data;
	const struct nf_nat_range *v6 = (const void *)target->data;
	unsigned flags = family == FAMILY_V4 ? v4->range[0].flags : v6->flags;
	uint16_t lo = family == FAMILY_V4 ? v4->range[0].min.all : v6->min_proto.all;
	uint16_t hi = family == FAMILY_V4 ? v4->range[0].max.all : v6->max_proto.all;

	ret->target = TARGET_REDIRECT;
	ret->number = ntohs(lo);
	ret->other = ret->other || flags != NF_NAT_RANGE_PROTO_SPECIFIED || lo != hi;
}

static void read_log(const struct xt_entry_target *target, struct shape *ret)
{
	const struct xt_log_info *info = (const void *)target->data;

	ret->target = TARGET_LOG;
	ret->number = info->level;
	memcpy(ret->prefix, info->prefix, strnlen(info->prefix, sizeof(info->prefix)));
	ret->other = ret->other || info->logflags;
}

void xt_shape(const struct xt_table *table, const struct xt_rule *rule, struct shape *ret)
{
	const struct xt_entry_target *target = xt_target(table->f, rule->entry);
	const struct xt_entry_match *m = NULL;
	const char *name = target->u.user.name;

	*ret = (struct shape){ 0 };
	if (table->family == FAMILY_V4)
		read_head_v4((const void *)rule->entry, ret);
	else
		read_head_v6((const void *)rule->entry, ret);
	while ((m = xt_match(table->f, rule->entry, m)))
		read_match(m, ret);

	if (strcmp(name, "RETURN") == 0)
		ret->target = TARGET_RETURN;
	else if (strcmp(name, "DROP") == 0)
		ret->target = TARGET_DROP;
	else if (strcmp(name, "DOCKER_OUTPUT") == 0)
		ret->target = TARGET_DOCKER;
	else if (strcmp(name, "CT") == 0)
		read_zone(target, ret);
	else if (strcmp(name, "REDIRECT") == 0)
		read_redirect(table->family, target, ret);
	else if (strcmp(name, "LOG") == 0)
		read_log(target, ret);
	ret->ours = ret->commented || mesh_chain(name);
}

static void read_shapes(const struct xt_table *table, struct xtc_handle *handle, const char *chain,
			struct arena *arena, struct shape_list *ret)
{
	const struct xt_family *f = table->f;

	for (const void *e = f->first_rule(chain, handle); e; e = f->next_rule(e, handle)) {
		struct xt_rule rule;
		struct shape shape;

		xt_rule_init(f, arena, e, f->get_target(e, handle), &rule);
		if (arena->failed)
			return;
		xt_shape(table, &rule, &shape);
		array_push(arena, ret, shape);
	}
}

static void learn_nat(const struct xt_table *table, struct xtc_handle *handle, struct arena *arena,
		      struct traces *traces)
{
	const struct xtc_ops *ops = table->f->ops;

	for (const char *c = ops->first_chain(handle); c; c = ops->next_chain(handle)) {
		struct shape_list rules = { 0 };

		if (!mesh_chain(c))
			continue;
		read_shapes(table, handle, c, arena, &rules);
		traces_learn_chain(traces, &rules);
	}
}

int xt_learn(const struct xt_family *f, enum family family, const bool exists[static TABLE_COUNT],
	     struct arena *arena, struct traces *ret, struct error *err)
{
	const struct xt_table nat = { .f = f, .family = family, .table = TABLE_NAT };
	const struct xt_table raw = { .f = f, .family = family, .table = TABLE_RAW };
	struct shape_list in = { 0 }, out = { 0 }, zones = { 0 };
	struct xtc_handle *handle;
	int r = 0;

	*ret = (struct traces){ 0 };
	if (exists[TABLE_NAT]) {
		r = xt_open(&nat, &handle, err);
		if (r < 0)
			return r;
		learn_nat(&nat, handle, arena, ret);
		read_shapes(&nat, handle, "PREROUTING", arena, &in);
		read_shapes(&nat, handle, "OUTPUT", arena, &out);
		f->ops->free(handle);
	}
	if (exists[TABLE_RAW] && !ret->commented) {
		r = xt_open(&raw, &handle, err);
		if (r < 0)
			return r;
		read_shapes(&raw, handle, "OUTPUT", arena, &zones);
		f->ops->free(handle);
		traces_learn_raw(ret, arena, &zones);
	}
	traces_learn_nat(ret, &in, &out);
	return arena->failed ? error_sys(err, -ENOMEM, "read") : 0;
}
