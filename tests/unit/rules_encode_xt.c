/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The bytes that the kernel is given. tests/netns proves that they mean what the text says. */

#include "common/rules/encode_xt.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_LOG.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_tcpudp.h>

static const struct rule_text no_text;

static const size_t heads[FAMILY_COUNT] = {
	[FAMILY_V4] = sizeof(struct ipt_entry),
	[FAMILY_V6] = sizeof(struct ip6t_entry),
};

struct encoded {
	union {
		struct xt_blob blob;
		struct ipt_entry v4[1];
		struct ip6t_entry v6[1];
	};
	enum family family;
	size_t target_offset, next_offset;
};

static struct encoded encode_with(const struct rule *rule, const char *comment, enum family family)
{
	struct encoded e = { .family = family };
	struct rule_text text = { 0 };
	struct error err;

	(void)snprintf(text.comment, sizeof(text.comment), "%s", comment);
	cr_assert_eq(encode_xt(rule, &text, family, &e.blob, &err), 0, "%s", err.text);
	e.target_offset = family == FAMILY_V4 ? e.v4->target_offset : e.v6->target_offset;
	e.next_offset = family == FAMILY_V4 ? e.v4->next_offset : e.v6->next_offset;
	cr_assert_eq(e.next_offset, e.blob.len);
	return e;
}

static struct encoded encode(const struct rule *rule, enum family family)
{
	return encode_with(rule, "", family);
}

/* The n-th match, which has to be of that name, revision and size; its payload. */
static const void *match_at(const struct encoded *e, unsigned n, const char *name,
			    unsigned revision, size_t size)
{
	size_t at = heads[e->family];
	const struct xt_entry_match *m = (void *)(e->blob.data + at);

	for (; n > 0; n--) {
		at += m->u.match_size;
		m = (void *)(e->blob.data + at);
	}
	cr_assert_lt(at, e->target_offset, "no match %s", name);
	cr_assert_str_eq(m->u.user.name, name);
	cr_assert_eq(m->u.user.revision, revision);
	cr_assert_eq(m->u.match_size, 32 + XT_ALIGN(size), "%s", name);
	return m->data;
}

static size_t count_matches(const struct encoded *e)
{
	size_t n = 0;

	for (size_t at = heads[e->family]; at < e->target_offset; n++)
		at += ((const struct xt_entry_match *)(const void *)(e->blob.data + at))
			      ->u.match_size;
	return n;
}

static const void *target_of(const struct encoded *e, const char *name, unsigned revision,
			     size_t size)
{
	const struct xt_entry_target *t = (void *)(e->blob.data + e->target_offset);

	cr_assert_str_eq(t->u.user.name, name);
	cr_assert_eq(t->u.user.revision, revision);
	cr_assert_eq(t->u.target_size, 32 + XT_ALIGN(size), "%s", name);
	cr_assert_eq(e->target_offset + t->u.target_size, e->next_offset);
	return t->data;
}

static bool all_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len > 0)
		if (p[--len])
			return false;
	return true;
}

static struct match_net net(enum op op, const char *text)
{
	struct match_net m = { .op = op };

	cr_assert(ip_prefix_parse(text, &m.net));
	return m;
}

static struct error refusal(const struct rule *rule)
{
	struct xt_blob blob = { 0 };
	struct error err = { 0 };

	cr_expect_eq(encode_xt(rule, &no_text, FAMILY_V4, &blob, &err), -EINVAL);
	return err;
}

Test(encode_xt, an_empty_rule_is_a_head_and_a_target_without_name)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct encoded e = encode(&(struct rule){ 0 }, f);

		cr_expect_eq(e.target_offset, heads[f]);
		cr_expect_eq(e.blob.len, heads[f] + 40);
		cr_expect(all_zero(target_of(&e, "", 0, sizeof(int)), 8));
	}
}

Test(encode_xt, ipv6_says_that_the_protocol_is_to_be_compared)
{
	struct encoded v4 = encode(&(struct rule){ .proto = IPPROTO_TCP }, FAMILY_V4);
	struct encoded v6 = encode(&(struct rule){ .proto = IPPROTO_TCP }, FAMILY_V6);
	struct encoded any = encode(&(struct rule){ 0 }, FAMILY_V6);

	cr_expect_eq(v4.v4->ip.proto, IPPROTO_TCP);
	cr_expect_eq(v4.v4->ip.flags, 0);
	cr_expect_eq(v6.v6->ipv6.proto, IPPROTO_TCP);
	cr_expect_eq(v6.v6->ipv6.flags, IP6T_F_PROTO);
	cr_expect_eq(any.v6->ipv6.flags, 0);
	cr_expect_eq(count_matches(&v4), 0, "no tcp match without ports");
}

Test(encode_xt, host_bits_of_a_network_are_cleared)
{
	struct encoded v4 = encode(&(struct rule){ .src = net(OP_IS, "10.1.2.3/22"),
						   .dst = net(OP_NOT, "127.0.0.1/32") },
				   FAMILY_V4);
	struct encoded v6 = encode(&(struct rule){ .src = net(OP_NOT, "fe80::ffff:1/10"),
						   .dst = net(OP_IS, "::1/128") },
				   FAMILY_V6);
	static const unsigned char fe80[16] = { 0xfe, 0x80 }, mask10[16] = { 0xff, 0xc0 };

	cr_expect_eq(v4.v4->ip.src.s_addr, htonl(0x0a010000));
	cr_expect_eq(v4.v4->ip.smsk.s_addr, htonl(0xfffffc00));
	cr_expect_eq(v4.v4->ip.dst.s_addr, htonl(0x7f000001));
	cr_expect_eq(v4.v4->ip.dmsk.s_addr, 0xffffffff);
	cr_expect_eq(v4.v4->ip.invflags, IPT_INV_DSTIP);
	cr_expect_arr_eq(&v6.v6->ipv6.src, fe80, 16);
	cr_expect_arr_eq(&v6.v6->ipv6.smsk, mask10, 16);
	cr_expect_eq(v6.v6->ipv6.dmsk.s6_addr[15], 0xff);
	cr_expect_eq(v6.v6->ipv6.invflags, IP6T_INV_SRCIP);
}

static size_t masked(const unsigned char mask[IFNAMSIZ])
{
	size_t n = 0;

	while (n < IFNAMSIZ && mask[n] == 0xff)
		n++;
	cr_expect(all_zero(mask + n, IFNAMSIZ - n));
	return n;
}

Test(encode_xt, the_mask_of_an_interface_covers_the_nul_of_an_exact_name_only)
{
	static const struct {
		const char *name;
		size_t masked;
	} cases[] = { { "lo", 3 }, { "eth+", 3 }, { "+", 0 }, { "abcdefghijklmno", 16 } };

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct encoded v4 = encode(&(struct rule){ .iif = cases[i].name }, FAMILY_V4);
		struct encoded v6 = encode(&(struct rule){ .oif = cases[i].name }, FAMILY_V6);

		cr_expect_str_eq(v4.v4->ip.iniface, cases[i].name);
		cr_expect_eq(masked(v4.v4->ip.iniface_mask), cases[i].masked, "%s", cases[i].name);
		cr_expect_eq(masked(v4.v4->ip.outiface_mask), 0);
		cr_expect_str_eq(v6.v6->ipv6.outiface, cases[i].name);
		cr_expect_eq(masked(v6.v6->ipv6.outiface_mask), cases[i].masked);
	}
}

Test(encode_xt, a_port_that_is_not_asked_for_is_any_port)
{
	struct encoded tcp = encode(&(struct rule){ .proto = IPPROTO_TCP, .dport = 53 }, FAMILY_V4);
	struct encoded udp =
		encode(&(struct rule){ .proto = IPPROTO_UDP, .sport = 15053 }, FAMILY_V6);
	const struct xt_tcp *t = match_at(&tcp, 0, "tcp", 0, sizeof(*t));
	const struct xt_udp *u = match_at(&udp, 0, "udp", 0, sizeof(*u));

	cr_expect_eq(t->spts[0], 0);
	cr_expect_eq(t->spts[1], 65535);
	cr_expect_eq(t->dpts[0], 53);
	cr_expect_eq(t->dpts[1], 53);
	cr_expect_eq(t->invflags, 0);
	cr_expect_eq(u->spts[0], 15053);
	cr_expect_eq(u->dpts[1], 65535);
	cr_expect(all_zero((const char *)u + 8, 8), "compared by iptables -D");
}

Test(encode_xt, not_syn_is_the_flags_of_syn_inverted)
{
	struct encoded e = encode(&(struct rule){ .proto = IPPROTO_TCP, .syn = OP_NOT }, FAMILY_V4);
	const struct xt_tcp *t = match_at(&e, 0, "tcp", 0, sizeof(*t));

	cr_expect_eq(t->flg_mask, 0x17);
	cr_expect_eq(t->flg_cmp, 0x02);
	cr_expect_eq(t->invflags, XT_TCP_INV_FLAGS);
	cr_expect_eq(t->dpts[1], 65535);
}

Test(encode_xt, what_the_client_asked_for_is_kept_by_conntrack)
{
	const struct rule rule = {
		.proto = IPPROTO_TCP,
		.syn = OP_IS,
		.orig_dst = { OP_IS, { { FAMILY_V4, { 192, 0, 2, 10 } }, 32 }, NULL },
		.orig_dport = 8080,
	};
	struct encoded e = encode(&rule, FAMILY_V4);
	const struct xt_tcp *t = match_at(&e, 0, "tcp", 0, sizeof(*t));
	const struct xt_conntrack_mtinfo3 *c = match_at(&e, 1, "conntrack", 3, sizeof(*c));

	cr_expect_eq(t->flg_cmp, 0x02);
	cr_expect_eq(t->invflags, 0);
	cr_expect_eq(c->match_flags, XT_CONNTRACK_ORIGDST | XT_CONNTRACK_ORIGDST_PORT);
	cr_expect_eq(c->invert_flags, 0);
	cr_expect_eq(c->origdst_addr.ip, htonl(0xc000020a));
	cr_expect_eq(c->origdst_mask.ip, UINT32_MAX);
	cr_expect_eq(c->origdst_port, 8080);
	cr_expect_eq(c->origdst_port_high, 8080);
}

Test(encode_xt, addresses_of_this_host_are_of_the_type_local)
{
	struct encoded e = encode(&(struct rule){ .local_dst = true }, FAMILY_V6);
	const struct xt_addrtype_info_v1 *a = match_at(&e, 0, "addrtype", 1, sizeof(*a));

	cr_expect_eq(a->dest, XT_ADDRTYPE_LOCAL);
	cr_expect_eq(a->source, 0);
	cr_expect_eq(a->flags, 0);
}

Test(encode_xt, matches_stand_in_the_order_of_the_text)
{
	const struct port_range ranges[] = { { 53, 53 }, { 3000, 5000 } };
	const struct rule multi = {
		.proto = IPPROTO_TCP,
		.multiport = { ranges, 2, NULL },
		.uid = { OP_IS, 106, 108, NULL },
		.verdict = { .kind = VERDICT_RETURN },
	};
	const struct rule plain = {
		.proto = IPPROTO_UDP,
		.udp_match = true,
		.dport = 53,
		.uid = { OP_NOT, 5678, 5678, NULL },
	};
	struct encoded a = encode_with(&multi, "why", FAMILY_V6);
	struct encoded b = encode_with(&plain, "why", FAMILY_V4);
	const struct xt_comment_info *c = match_at(&a, 0, "comment", 0, sizeof(*c));
	const struct xt_multiport_v1 *m = match_at(&a, 1, "multiport", 1, sizeof(*m));
	const struct xt_owner_match_info *o = match_at(&a, 2, "owner", 1, sizeof(*o));

	cr_expect_str_eq(c->comment, "why");
	cr_expect(all_zero(c->comment + 3, sizeof(c->comment) - 3));
	cr_expect_eq(m->flags, XT_MULTIPORT_DESTINATION);
	cr_expect_eq(m->count, 3);
	cr_expect_arr_eq(m->ports, ((uint16_t[]){ 53, 3000, 5000 }), 6);
	cr_expect_arr_eq(m->pflags, ((uint8_t[]){ 0, 1, 0 }), 3);
	cr_expect_eq(o->uid_min, 106);
	cr_expect_eq(o->uid_max, 108);
	cr_expect_eq(o->match, XT_OWNER_UID);
	cr_expect_eq(o->invert, 0);
	cr_expect_eq(count_matches(&a), 3);

	(void)match_at(&b, 1, "udp", 0, sizeof(struct xt_udp));
	o = match_at(&b, 2, "owner", 1, sizeof(*o));
	cr_expect_eq(o->invert, XT_OWNER_UID);
	cr_expect_eq(count_matches(&b), 3);
}

Test(encode_xt, the_longest_comment_keeps_its_end)
{
	char comment[COMMENT_MAX];
	struct encoded e;
	const struct xt_comment_info *c;

	memset(comment, 'x', sizeof(comment));
	comment[254] = '\0';
	e = encode_with(&(struct rule){ 0 }, comment, FAMILY_V4);
	c = match_at(&e, 0, "comment", 0, sizeof(*c));
	cr_expect_str_eq(c->comment, comment);
}

Test(encode_xt, the_state_is_matched_by_the_third_revision)
{
	struct encoded e = encode(
		&(struct rule){ .ctstate_invalid = true, .verdict = { .kind = VERDICT_DROP } },
		FAMILY_V4);
	const struct xt_conntrack_mtinfo3 *c = match_at(&e, 0, "conntrack", 3, sizeof(*c));

	cr_expect_eq(c->match_flags, XT_CONNTRACK_STATE);
	cr_expect_eq(c->state_mask, XT_CONNTRACK_STATE_INVALID);
	cr_expect_eq(c->invert_flags, 0);
	(void)target_of(&e, "DROP", 0, sizeof(int));
}

Test(encode_xt, redirect_has_another_payload_in_each_family)
{
	const struct rule rule = {
		.proto = IPPROTO_TCP,
		.verdict = { .kind = VERDICT_REDIRECT, .number = 15001 },
	};
	struct encoded v4 = encode(&rule, FAMILY_V4), v6 = encode(&rule, FAMILY_V6);
	const struct nf_nat_ipv4_multi_range_compat *r4 =
		target_of(&v4, "REDIRECT", 0, sizeof(*r4));
	const struct nf_nat_range *r6 = target_of(&v6, "REDIRECT", 0, sizeof(*r6));

	cr_expect_eq(r4->rangesize, 1);
	cr_expect_eq(r4->range[0].flags, NF_NAT_RANGE_PROTO_SPECIFIED);
	cr_expect_eq(r4->range[0].min.all, htons(15001));
	cr_expect_eq(r4->range[0].max.all, htons(15001));
	cr_expect_eq(r6->flags, NF_NAT_RANGE_PROTO_SPECIFIED);
	cr_expect_eq(r6->min_proto.all, htons(15001));
	cr_expect_eq(r6->max_proto.all, htons(15001));
}

Test(encode_xt, zone_log_and_jump_say_what_they_carry)
{
	struct encoded ct =
		encode(&(struct rule){ .verdict = { VERDICT_CT_ZONE, .number = 2 } }, FAMILY_V6);
	struct encoded log =
		encode(&(struct rule){ .verdict = { VERDICT_LOG, "OUTPUT:", 7 } }, FAMILY_V4);
	struct encoded jump =
		encode(&(struct rule){ .verdict = { VERDICT_JUMP, .text = "KUMA_MESH_INBOUND" } },
		       FAMILY_V4);
	const struct xt_ct_target_info_v1 *c = target_of(&ct, "CT", 2, sizeof(*c));
	const struct xt_log_info *l = target_of(&log, "LOG", 0, sizeof(*l));

	cr_expect_eq(c->zone, 2);
	cr_expect_eq(c->flags, 0);
	cr_expect_eq(l->level, 7);
	cr_expect_str_eq(l->prefix, "OUTPUT:");
	cr_expect(all_zero(target_of(&jump, "KUMA_MESH_INBOUND", 0, sizeof(int)), 8));
}

Test(encode_xt, a_blob_is_used_again_without_traces)
{
	const struct rule large = {
		.proto = IPPROTO_TCP, .uid = { OP_IS, 1, 1, NULL }, .dport = 53, .iif = "lo"
	};
	struct encoded e = encode_with(&large, "why", FAMILY_V6), fresh;
	struct error err;

	cr_assert_eq(encode_xt(&(struct rule){ 0 }, &no_text, FAMILY_V4, &e.blob, &err), 0);
	fresh = encode(&(struct rule){ 0 }, FAMILY_V4);
	cr_expect_eq(e.blob.len, fresh.blob.len);
	cr_expect_arr_eq(e.blob.data, fresh.blob.data, fresh.blob.len);
}

Test(encode_xt, refuses_what_the_kernel_would_take_for_something_else)
{
	struct port_range ranges[16];
	const char *long_name = "abcdefghijklmnop";

	for (uint16_t i = 0; i < ELEMENTS(ranges); i++)
		ranges[i] = (struct port_range){ (uint16_t)(i + 1), (uint16_t)(i + 1) };
	cr_expect_str_eq(refusal(&(struct rule){ .dport = 53 }).text,
			 "a port without the protocol TCP or UDP");
	cr_expect_str_eq(refusal(&(struct rule){ .proto = IPPROTO_UDP, .syn = OP_NOT }).text,
			 "TCP flags without the protocol TCP");
	cr_expect_str_eq(refusal(&(struct rule){ .verdict.kind = VERDICT_REJECT }).text,
			 "a reset without the protocol TCP");
	cr_expect_str_eq(refusal(&(struct rule){ .udp_match = true }).text,
			 "the udp match without the protocol UDP");
	cr_expect_str_eq(refusal(&(struct rule){ .iif = long_name }).text,
			 "interface name abcdefghijklmnop has more than 15 bytes");
	cr_expect_str_eq(
		refusal(&(struct rule){ .proto = IPPROTO_TCP, .multiport = { ranges, 16, NULL } })
			.text,
		"16 multiport slots in a rule, 15 fit");
	ranges[7].hi = 100;
	cr_expect_str_eq(
		refusal(&(struct rule){ .proto = IPPROTO_TCP, .multiport = { ranges, 15, NULL } })
			.text,
		"16 multiport slots in a rule, 15 fit");
	cr_expect_str_eq(
		refusal(&(struct rule){ .verdict = { VERDICT_JUMP,
						     .text = "A_CHAIN_OF_TWENTY_NINE_BYTES_" } })
			.text,
		"chain name A_CHAIN_OF_TWENTY_NINE_BYTES_ has more than 28 bytes");
	cr_expect_str_eq(refusal(&(struct rule){ .verdict = { VERDICT_LOG, "x", 8 } }).text,
			 "log level 8 is above 7");
	cr_expect_str_eq(
		refusal(&(struct rule){
				.verdict = { VERDICT_LOG, "a prefix that has thirty bytes", 7 } })
			.text,
		"log prefix a prefix that has thirty bytes is too long");
}
