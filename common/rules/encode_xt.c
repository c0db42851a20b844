/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/encode_xt.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv4/ipt_REJECT.h>
#include <linux/netfilter_ipv6/ip6t_REJECT.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_tcpudp.h>

#include "common/base/array.h"
#include "common/rules/xt_entry.h"

/* iptables cuts a target name of 29 bytes and takes the rest for an extension. */
#define CHAIN_NAME_MAX 28

_Static_assert(sizeof(struct xt_entry_match) == sizeof(struct xt_entry_target) &&
		       offsetof(struct xt_entry_match, u.user.name) ==
			       offsetof(struct xt_entry_target, u.user.name) &&
		       offsetof(struct xt_entry_match, u.user.revision) ==
			       offsetof(struct xt_entry_target, u.user.revision),
	       "a match and a target begin in the same way");

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Returns size zeroed bytes at the end of the blob. */
static void *grow(struct xt_blob *blob, size_t size)
{
	unsigned char *p = blob->data + blob->len;

	assert(size <= sizeof(blob->data) - blob->len);
	memset(p, 0, size);
	blob->len += size;
	return p;
}

/* A match, or the target: their heads are alike. Returns its payload. */
static void *add(struct xt_blob *blob, const char *name, uint8_t revision, size_t size)
{
	size_t total = XT_ALIGN(sizeof(struct xt_entry_match)) + XT_ALIGN(size);
	struct xt_entry_match *m = grow(blob, total);

	m->u.match_size = (uint16_t)total;
	m->u.user.revision = revision;
	memcpy(m->u.user.name, name, strlen(name) + 1);
	return m->data;
}

static void fill_iface(const char *iface, char *name, unsigned char *mask)
{
	size_t len = iface ? strlen(iface) : 0;

	if (!len)
		return;
	memcpy(name, iface, len + 1);
	/* The mask covers the NUL of an exact name; without it "lo" means "lo+". */
	memset(mask, 0xff, iface[len - 1] == '+' ? len - 1 : len + 1);
}

static void fill_net(const struct match_net *m, size_t bytes, void *ret_addr, void *ret_mask)
{
	struct ip_prefix net;
	uint8_t mask[16];

	if (!m->op)
		return;
	/* The kernel takes host bits as they are, and no packet would ever match. */
	net = ip_prefix_masked(&m->net);
	ip_mask(net.len, mask);
	memcpy(ret_addr, net.addr.bytes, bytes);
	memcpy(ret_mask, mask, bytes);
}

static void add_head(const struct rule *rule, const struct xt_layout *layout, struct xt_blob *blob)
{
	unsigned char *e = grow(blob, layout->head);
	uint16_t proto = rule->proto;

	fill_net(&rule->src, layout->address, e + layout->src, e + layout->src_mask);
	fill_net(&rule->dst, layout->address, e + layout->dst, e + layout->dst_mask);
	fill_iface(rule->iif, (char *)e + layout->iif, e + layout->iif_mask);
	fill_iface(rule->oif, (char *)e + layout->oif, e + layout->oif_mask);
	memcpy(e + layout->proto, &proto, sizeof(proto));
	if (rule->proto)
		e[layout->flags] = layout->proto_flag;
	e[layout->inverted] = (unsigned char)((rule->src.op == OP_NOT ? IPT_INV_SRCIP : 0) |
					      (rule->dst.op == OP_NOT ? IPT_INV_DSTIP : 0));
}

/* An unused range is 0..65535; all zero would mean "port 0". */
static void fill_ports(uint16_t port, uint16_t ret[static 2])
{
	ret[0] = port;
	ret[1] = port ? port : 0xffff;
}

static void add_tcp(const struct rule *rule, struct xt_blob *blob)
{
	struct xt_tcp *info = add(blob, "tcp", 0, sizeof(*info));

	fill_ports(rule->sport, info->spts);
	fill_ports(rule->dport, info->dpts);
	if (rule->syn) {
		info->flg_mask = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK;
		info->flg_cmp = TCP_SYN;
	}
	if (rule->syn == OP_NOT)
		info->invflags = XT_TCP_INV_FLAGS;
}

static void add_udp(const struct rule *rule, struct xt_blob *blob)
{
	struct xt_udp *info = add(blob, "udp", 0, sizeof(*info));

	fill_ports(rule->sport, info->spts);
	fill_ports(rule->dport, info->dpts);
}

static void add_multiport(const struct match_multiport *m, struct xt_blob *blob)
{
	struct xt_multiport_v1 *info = add(blob, "multiport", 1, sizeof(*info));

	info->flags = XT_MULTIPORT_DESTINATION;
	for (size_t i = 0; i < m->n; i++) {
		info->ports[info->count] = m->ranges[i].lo;
		if (m->ranges[i].hi != m->ranges[i].lo) {
			info->pflags[info->count++] = 1;
			info->ports[info->count] = m->ranges[i].hi;
		}
		info->count++;
	}
}

static void add_owner(const struct match_uid *m, struct xt_blob *blob)
{
	struct xt_owner_match_info *info = add(blob, "owner", 1, sizeof(*info));

	info->uid_min = m->lo;
	info->uid_max = m->hi;
	info->match = XT_OWNER_UID;
	if (m->op == OP_NOT)
		info->invert = XT_OWNER_UID;
}

static void add_conntrack(const struct rule *rule, struct xt_blob *blob)
{
	struct xt_conntrack_mtinfo3 *info = add(blob, "conntrack", 3, sizeof(*info));

	if (rule->ctstate_invalid) {
		info->match_flags = XT_CONNTRACK_STATE;
		info->state_mask = XT_CONNTRACK_STATE_INVALID;
	}
	if (rule->orig_dst.op) {
		/* One address; iptables fills the mask of either family. */
		info->match_flags |= XT_CONNTRACK_ORIGDST;
		memcpy(&info->origdst_addr, rule->orig_dst.net.addr.bytes,
		       sizeof(info->origdst_addr));
		memset(&info->origdst_mask, 0xff, sizeof(info->origdst_mask));
	}
	if (rule->orig_dport) {
		info->match_flags |= XT_CONNTRACK_ORIGDST_PORT;
		info->origdst_port = info->origdst_port_high = rule->orig_dport;
	}
}

/* In the order in which iptables meets them in the text, which is the order that -D compares. */
static void add_matches(const struct rule *rule, const struct rule_text *text, struct xt_blob *blob)
{
	bool ports = rule->sport || rule->dport;

	if (text && text->comment[0]) {
		struct xt_comment_info *info = add(blob, "comment", 0, sizeof(*info));

		memcpy(info->comment, text->comment,
		       strnlen(text->comment, sizeof(info->comment) - 1));
	}
	if (rule->multiport.n)
		add_multiport(&rule->multiport, blob);
	if (rule->proto == IPPROTO_TCP && (ports || rule->syn))
		add_tcp(rule, blob);
	if (rule->proto == IPPROTO_UDP && (ports || rule->udp_match))
		add_udp(rule, blob);
	if (rule->local_dst) {
		struct xt_addrtype_info_v1 *info = add(blob, "addrtype", 1, sizeof(*info));

		info->dest = XT_ADDRTYPE_LOCAL;
	}
	if (rule->ctstate_invalid || rule->orig_dport)
		add_conntrack(rule, blob);
	if (rule->uid.op)
		add_owner(&rule->uid, blob);
}

static void add_redirect(uint16_t port, enum family family, struct xt_blob *blob)
{
	if (family == FAMILY_V4) {
		struct nf_nat_ipv4_multi_range_compat *info =
			add(blob, "REDIRECT", 0, sizeof(*info));

		info->rangesize = 1;
		info->range[0].flags = NF_NAT_RANGE_PROTO_SPECIFIED;
		info->range[0].min.all = info->range[0].max.all = htons(port);
	} else {
		struct nf_nat_range *info = add(blob, "REDIRECT", 0, sizeof(*info));

		info->flags = NF_NAT_RANGE_PROTO_SPECIFIED;
		info->min_proto.all = info->max_proto.all = htons(port);
	}
}

static void add_reject(enum family family, struct xt_blob *blob)
{
	struct ipt_reject_info *v4;
	struct ip6t_reject_info *v6;

	if (family == FAMILY_V4) {
		v4 = add(blob, "REJECT", 0, sizeof(*v4));
		v4->with = IPT_TCP_RESET;
	} else {
		v6 = add(blob, "REJECT", 0, sizeof(*v6));
		v6->with = IP6T_TCP_RESET;
	}
}

static void add_verdict(const struct verdict *verdict, enum family family, struct xt_blob *blob)
{
	struct xt_ct_target_info_v1 *ct;
	struct nf_nat_range2 *range;
	struct xt_log_info *log;

	switch (verdict->kind) {
	case VERDICT_REDIRECT:
		add_redirect(verdict->number, family, blob);
		break;
	case VERDICT_CT_ZONE:
		ct = add(blob, "CT", 2, sizeof(*ct));
		ct->zone = verdict->number;
		break;
	case VERDICT_LOG:
		log = add(blob, "LOG", 0, sizeof(*log));
		log->level = (unsigned char)verdict->number;
		memcpy(log->prefix, verdict->text, strlen(verdict->text));
		break;
	case VERDICT_DNAT:
		range = add(blob, "DNAT", 2, sizeof(*range));
		range->flags = NF_NAT_RANGE_PROTO_SPECIFIED;
		range->min_proto.all = range->max_proto.all = htons(verdict->number);
		break;
	case VERDICT_REJECT:
		add_reject(family, blob);
		break;
	case VERDICT_NONE:
	case VERDICT_RETURN:
	case VERDICT_DROP:
	case VERDICT_JUMP: /* names, which libiptc resolves */
	case VERDICT_COUNT:
		(void)add(blob, verdict_target(verdict), 0, sizeof(int));
		break;
	}
}

/* What iptables refuses, but the kernel takes for something else. */
static int check(const struct rule *rule, struct error *err)
{
	bool tcp = rule->proto == IPPROTO_TCP, udp = rule->proto == IPPROTO_UDP;
	const char *const ifaces[] = { rule->iif, rule->oif };
	const struct verdict *verdict = &rule->verdict;
	size_t slots = 0;

	if ((rule->sport || rule->dport || rule->multiport.n) && !tcp && !udp)
		return error_set(err, -EINVAL, "a port without the protocol TCP or UDP");
	if (rule->syn && !tcp)
		return error_set(err, -EINVAL, "TCP flags without the protocol TCP");
	if (rule->udp_match && !udp)
		return error_set(err, -EINVAL, "the udp match without the protocol UDP");
	for (size_t i = 0; i < ELEMENTS(ifaces); i++)
		if (ifaces[i] && strlen(ifaces[i]) >= IFNAMSIZ)
			return error_set(err, -EINVAL, "interface name %s has more than %d bytes",
					 ifaces[i], IFNAMSIZ - 1);
	for (size_t i = 0; i < rule->multiport.n; i++)
		slots += rule->multiport.ranges[i].lo == rule->multiport.ranges[i].hi ? 1 : 2;
	if (slots > XT_MULTI_PORTS)
		return error_set(err, -EINVAL, "%zu multiport slots in a rule, %d fit", slots,
				 XT_MULTI_PORTS);
	if (verdict->kind == VERDICT_JUMP && strlen(verdict->text) > CHAIN_NAME_MAX)
		return error_set(err, -EINVAL, "chain name %s has more than %d bytes",
				 verdict->text, CHAIN_NAME_MAX);
	if (verdict->kind == VERDICT_LOG &&
	    strlen(verdict->text) >= sizeof(((struct xt_log_info *)NULL)->prefix))
		return error_set(err, -EINVAL, "log prefix %s is too long", verdict->text);
	if (verdict->kind == VERDICT_REJECT && !tcp)
		return error_set(err, -EINVAL, "a reset without the protocol TCP");
	if (verdict->kind == VERDICT_LOG && verdict->number > 7)
		return error_set(err, -EINVAL, "log level %u is above 7", verdict->number);
	return 0;
}

int encode_xt(const struct rule *rule, const struct rule_text *text, enum family family,
	      struct xt_blob *blob, struct error *err)
{
	const struct xt_layout *layout = &xt_layouts[family];
	uint16_t target_offset, next_offset;
	int r = check(rule, err);

	if (r < 0)
		return r;
	blob->len = 0;
	add_head(rule, layout, blob);
	add_matches(rule, text, blob);
	target_offset = (uint16_t)blob->len;
	add_verdict(&rule->verdict, family, blob);
	next_offset = (uint16_t)blob->len;
	memcpy(blob->data + layout->target_offset, &target_offset, sizeof(target_offset));
	memcpy(blob->data + layout->next_offset, &next_offset, sizeof(next_offset));
	return 0;
}
