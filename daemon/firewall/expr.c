/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The expressions of one rule of nf_tables, one after the other. */

#include "daemon/firewall/draft.h"

#include <stdio.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include "daemon/firewall/set.h"

#define LOOPBACK_INDEX 1

/* What has been loaded into a register. */
enum content {
	CONTENT_UNKNOWN,
	CONTENT_PORT,
	CONTENT_ORIGINAL_PORT,
	CONTENT_INTERFACE, /* any but the loopback interface; a name or an index */
	CONTENT_STATUS,
	/* from here on the bytes are known, by the kind of packet */
	CONTENT_FAMILY,
	CONTENT_PROTOCOL,
	CONTENT_STATE,
	CONTENT_MASKED_STATUS,
};

struct content_of {
	enum content content;
	unsigned char bytes[PACKET_KINDS][sizeof(uint32_t)];
};

/* nft and iptables-nft compare what they have loaded right after: only the last value is followed. Of
 * several values side by side (a concatenation) nothing is known. */
struct reading {
	const struct draft_reader *reader;
	struct draft draft;
	struct content_of value;
	uint32_t at; /* the register of the value */
};

/* What is compared, which begins in a register. */
static const struct content_of *in_register(const struct reading *s, uint32_t number)
{
	static const struct content_of unknown = { .content = CONTENT_UNKNOWN };

	return number == s->at ? &s->value : &unknown;
}

static void load_word(struct reading *s, uint32_t direct, uint32_t redirected)
{
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++)
		memcpy(s->value.bytes[kind], packet_redirected(kind) ? &redirected : &direct,
		       sizeof(uint32_t));
}

static void load(struct reading *s, uint32_t to, enum content content)
{
	static const unsigned char families[] = {
		[FAMILY_V4] = NFPROTO_IPV4, [FAMILY_V6] = NFPROTO_IPV6
	};

	s->value = (struct content_of){ .content = content };
	s->at = to;
	if (content == CONTENT_STATE)
		load_word(s, NF_CT_STATE_BIT(IP_CT_NEW), NF_CT_STATE_BIT(IP_CT_NEW));
	else if (content == CONTENT_STATUS)
		load_word(s, 0, IPS_DST_NAT);
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		if (content == CONTENT_PROTOCOL)
			s->value.bytes[kind][0] = IPPROTO_TCP;
		else if (content == CONTENT_FAMILY)
			s->value.bytes[kind][0] = families[packet_family(kind)];
	}
}

static void on_meta(struct reading *s, const struct nftnl_expr *e)
{
	/* clang-format off */
	static const enum content keys[] = {
		[NFT_META_NFPROTO] = CONTENT_FAMILY,
		[NFT_META_L4PROTO] = CONTENT_PROTOCOL,
		[NFT_META_IIFNAME] = CONTENT_INTERFACE,
		[NFT_META_IIF]     = CONTENT_INTERFACE,
	};
	/* clang-format on */
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY);

	if (nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG)) /* else it sets something */
		load(s, nftnl_expr_get_u32(e, NFTNL_EXPR_META_DREG),
		     key < ELEMENTS(keys) ? keys[key] : CONTENT_UNKNOWN);
}

static void on_payload(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t base = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_BASE);
	uint32_t offset = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET);
	uint32_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_LEN);
	uint32_t to = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_DREG);

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_PAYLOAD_DREG))
		return; /* changes the packet */
	if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && len == 2)
		load(s, to, CONTENT_PORT);
	else if (base == NFT_PAYLOAD_NETWORK_HEADER && len == 1 &&
		 (offset == 9 || (offset == 6 && s->reader->family == NFPROTO_IPV6)))
		load(s, to, CONTENT_PROTOCOL);
	else
		load(s, to, CONTENT_UNKNOWN);
}

static void on_ct(struct reading *s, const struct nftnl_expr *e)
{
	bool original = nftnl_expr_is_set(e, NFTNL_EXPR_CT_DIR) &&
			nftnl_expr_get_u8(e, NFTNL_EXPR_CT_DIR) == IP_CT_DIR_ORIGINAL;
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY);

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG))
		return;
	load(s, nftnl_expr_get_u32(e, NFTNL_EXPR_CT_DREG),
	     key == NFT_CT_STATE                   ? CONTENT_STATE
	     : key == NFT_CT_STATUS                ? CONTENT_STATUS
	     : key == NFT_CT_PROTO_DST && original ? CONTENT_ORIGINAL_PORT
						   : CONTENT_UNKNOWN);
}

/* Only masks of states and statuses are followed. */
static void on_bitwise(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t mask_len = 0, flip_len = 0, word, flipped = 0;
	const unsigned char *mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_len);
	const void *flip = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &flip_len);
	struct content_of value = *in_register(s, nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_SREG));
	uint32_t to = nftnl_expr_get_u32(e, NFTNL_EXPR_BITWISE_DREG);

	memcpy(&flipped, flip ? flip : "", flip && flip_len == sizeof(flipped) ? flip_len : 0);
	if ((value.content != CONTENT_STATE && value.content != CONTENT_STATUS) || !mask ||
	    mask_len != sizeof(word) || flipped != 0) {
		load(s, to, CONTENT_UNKNOWN);
		return;
	}
	memcpy(&word, mask, sizeof(word));
	/* Of a status nothing is known but whether the destination was changed. */
	if (value.content == CONTENT_STATUS)
		value.content = word & IPS_DST_NAT ? CONTENT_MASKED_STATUS : CONTENT_UNKNOWN;
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++)
		for (size_t i = 0; i < sizeof(word); i++)
			value.bytes[kind][i] &= mask[i];
	s->value = value;
	s->at = to;
}

static bool is_port(const struct content_of *value)
{
	return value->content == CONTENT_PORT || value->content == CONTENT_ORIGINAL_PORT;
}

static struct filter_ports *which_ports(struct draft *draft, const struct content_of *value)
{
	return value->content == CONTENT_PORT ? &draft->rule.port : &draft->rule.original;
}

static bool is_loopback(const void *data, size_t len)
{
	uint32_t index = 0;

	memcpy(&index, data, len < sizeof(index) ? len : sizeof(index));
	return (len == sizeof(index) && index == LOOPBACK_INDEX) ||
	       (len >= 3 && memcmp(data, "lo", 3) == 0);
}

/* The rule asks whether a value that is no port is (equal) among the keys. */
static void ask_equal(struct draft *draft, const struct content_of *value,
		      const struct elements *keys, bool equal)
{
	bool others = false;

	if (value->content == CONTENT_INTERFACE) {
		for (size_t i = 0; i < keys->n; i++)
			others |= !is_loopback(keys->items[i].key, keys->items[i].len);
		if (others)
			draft->rule.partly = true;
		else
			draft_asks_always(draft, !equal);
		return;
	}
	if (value->content < CONTENT_FAMILY) {
		draft->rule.partly = true;
		return;
	}
	for (unsigned kind = 0; kind < PACKET_KINDS; kind++) {
		bool found = false, intervals = false;

		for (size_t i = 0; i < keys->n; i++) {
			const struct element *key = &keys->items[i];
			size_t len = key->len < sizeof(uint32_t) ? key->len : sizeof(uint32_t);

			intervals |= key->ends;
			found |= !key->ends && memcmp(value->bytes[kind], key->key, len) == 0;
		}
		/* It may be inside of one. */
		if (!found && intervals)
			draft->rule.partly = true;
		else if (found != equal)
			draft->excludes[kind] = true;
	}
}

static void compare_port(struct draft *draft, struct filter_ports *ports, uint32_t op,
			 uint16_t port)
{
	struct filter_range range = { 0, UINT16_MAX };

	if (op == NFT_CMP_EQ || op == NFT_CMP_NEQ)
		range = (struct filter_range){ port, port };
	else if (op == NFT_CMP_LT || op == NFT_CMP_LTE)
		range.hi = op == NFT_CMP_LT && port > 0 ? (uint16_t)(port - 1) : port;
	else
		range.lo = op == NFT_CMP_GT && port < UINT16_MAX ? (uint16_t)(port + 1) : port;
	/* Two comparisons in a row make a range: >= the one and <= the other. */
	if (op == NFT_CMP_LTE && ports->n == 1 && !ports->negated &&
	    ports->items[0].hi == UINT16_MAX) {
		range.lo = ports->items[0].lo;
		*ports = (struct filter_ports){ 0 };
	}
	draft_port(draft, ports, range, op == NFT_CMP_NEQ);
}

static void on_cmp(struct reading *s, const struct nftnl_expr *e)
{
	const struct content_of *value = in_register(s, nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_SREG));
	uint32_t op = nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_OP), len = 0;
	const void *data = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &len);
	struct element with = { .len = len < SET_KEY_MAX ? len : SET_KEY_MAX };

	if (data && len > 0 && is_port(value)) {
		compare_port(&s->draft, which_ports(&s->draft, value), op, set_port(data, len));
	} else if (data && len > 0 && (op == NFT_CMP_EQ || op == NFT_CMP_NEQ)) {
		memcpy(with.key, data, with.len);
		ask_equal(&s->draft, value, &(struct elements){ &with, 1 }, op == NFT_CMP_EQ);
	} else {
		s->draft.rule.partly = true;
	}
}

static void on_range(struct reading *s, const struct nftnl_expr *e)
{
	const struct content_of *value =
		in_register(s, nftnl_expr_get_u32(e, NFTNL_EXPR_RANGE_SREG));
	uint32_t from_len = 0, to_len = 0;
	const void *from = nftnl_expr_get(e, NFTNL_EXPR_RANGE_FROM_DATA, &from_len);
	const void *to = nftnl_expr_get(e, NFTNL_EXPR_RANGE_TO_DATA, &to_len);

	if (!from || !to || !is_port(value))
		s->draft.rule.partly = true;
	else
		draft_port(&s->draft, which_ports(&s->draft, value),
			   (struct filter_range){ set_port(from, from_len), set_port(to, to_len) },
			   nftnl_expr_get_u32(e, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_NEQ);
}

static void read_verdict(const struct draft_reader *reader, uint32_t code, const char *chain,
			 struct filter_rule *rule)
{
	switch ((int32_t)code) {
	case NF_ACCEPT:
		rule->verdict = FILTER_ACCEPT;
		return;
	case NF_DROP:
		rule->verdict = FILTER_DROP;
		return;
	case NFT_RETURN:
		rule->verdict = FILTER_RETURN;
		return;
	case NFT_JUMP:
	case NFT_GOTO:
		rule->verdict = (int32_t)code == NFT_JUMP ? FILTER_JUMP : FILTER_GOTO;
		rule->target = reader->find_chain(reader, chain ? chain : "");
		return;
	default:
		return;
	}
}

/* A rule per element of a map of verdicts. The expressions behind it are of no interest: nothing but
 * a map without the value lets a packet come there. */
static void look_up_verdict(struct reading *s, const struct content_of *value,
			    const struct elements *elements)
{
	for (size_t i = 0; i < elements->n; i++) {
		struct draft one = s->draft;

		if (elements->items[i].ends)
			continue;
		if (elements->items[i].rest)
			one.rule.partly = true;
		else if (is_port(value))
			draft_port(&one, which_ports(&one, value), set_range(elements, i), false);
		else
			ask_equal(&one, value, &(struct elements){ &elements->items[i], 1 }, true);
		read_verdict(s->reader, elements->items[i].verdict, elements->items[i].chain,
			     &one.rule);
		draft_end(&one, s->reader->chain);
	}
}

static void look_up(struct reading *s, const struct content_of *value,
		    const struct elements *elements, bool inverted)
{
	struct filter_range_list ranges = { 0 };

	for (size_t i = 0; i < elements->n; i++) {
		if (elements->items[i].rest) {
			s->draft.rule.partly = true;
			return;
		}
	}
	if (!is_port(value)) {
		ask_equal(&s->draft, value, elements, !inverted);
		return;
	}
	for (size_t i = 0; i < elements->n; i++)
		if (!elements->items[i].ends)
			array_push(s->draft.arena, &ranges, set_range(elements, i));
	draft_ports(&s->draft, which_ports(&s->draft, value), &ranges, inverted);
}

static void on_lookup(struct reading *s, const struct nftnl_expr *e)
{
	bool map = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG);
	uint32_t to = nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG);
	const struct content_of *value =
		in_register(s, nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_SREG));
	struct elements elements = { 0 };

	if (map && to != NFT_REG_VERDICT) {
		load(s, to, CONTENT_UNKNOWN);
		return;
	}
	/* Sets of addresses may be large, and nothing is known of the client's. */
	if ((value->content == CONTENT_UNKNOWN && !map) ||
	    !set_elements(s->reader, nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET), &elements))
		s->draft.rule.partly = true;
	else if (map)
		look_up_verdict(s, value, &elements);
	else
		look_up(s, value, &elements,
			nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV);
}

static void on_immediate(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t to = nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_DREG);

	if (to == NFT_REG_VERDICT)
		read_verdict(s->reader, nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT),
			     nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN), &s->draft.rule);
	else
		load(s, to, CONTENT_UNKNOWN);
}

static void on_reject(struct reading *s, const struct nftnl_expr *e _unused_)
{
	s->draft.rule.verdict = FILTER_DROP;
}

static void on_match(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &len);

	draft_match(&s->draft, &(struct draft_match){
				       .name = nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME),
				       .revision = nftnl_expr_get_u32(e, NFTNL_EXPR_MT_REV),
				       .data = info ? info : "",
				       .len = len,
			       });
}

static void on_target(struct reading *s, const struct nftnl_expr *e)
{
	s->draft.rule.verdict = draft_target(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME));
}

static const struct {
	const char *name;
	void (*read)(struct reading *s, const struct nftnl_expr *e);
} expressions[] = {
	{ "bitwise", on_bitwise },
	{ "cmp", on_cmp },
	{ "counter", NULL },
	{ "ct", on_ct },
	{ "immediate", on_immediate },
	{ "log", NULL },
	{ "lookup", on_lookup },
	{ "match", on_match },
	{ "meta", on_meta },
	{ "notrack", NULL },
	{ "objref", NULL },
	{ "payload", on_payload },
	{ "range", on_range },
	{ "reject", on_reject },
	{ "target", on_target },
};

static int read_expression(struct nftnl_expr *e, void *userdata)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	struct reading *s = userdata;

	for (size_t i = 0; i < ELEMENTS(expressions); i++) {
		if (strcmp(name, expressions[i].name) != 0)
			continue;
		if (expressions[i].read) /* else it decides nothing */
			expressions[i].read(s, e);
		return 0;
	}
	s->draft.rule.partly = true;
	return 0;
}

void draft_read_nft(const struct draft_reader *reader, const char *name,
		    const struct nftnl_rule *rule)
{
	struct reading s = {
		.reader = reader,
		.draft = { .arena = reader->arena, .rule = { .name = name } },
	};

	(void)nftnl_expr_foreach((struct nftnl_rule *)(uintptr_t)rule, read_expression, &s);
	draft_end(&s.draft, reader->chain);
}
