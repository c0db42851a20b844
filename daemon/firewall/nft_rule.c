/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The expressions of one rule of nf_tables, one after the other, over registers of which not all is
 * known. */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include "common/base/attr.h"
#include "daemon/firewall/nft_set.h"
#include "daemon/firewall/walk.h"

#define WORD            sizeof(uint32_t)
#define WORDS           16 /* NFT_REG32_00 to _15; NFT_REG_1 to _4 are four of them each */
#define LOOPBACK_INDEX  1
#define TCP_FLAGS       13          /* their place in the header */
#define TCP_FLAGS_KNOWN 0x3f3f3f3fU /* in each byte; not those of ECN */

enum content {
	CONTENT_BYTES,
	CONTENT_PORT,
	CONTENT_ASKED_PORT,
	CONTENT_CLIENT_PORT, /* any that is not privileged */
	CONTENT_INTERFACE,   /* any but the loopback interface; a name or an index */
};

struct word {
	enum content content;
	unsigned char bytes[WORD], known[WORD]; /* bit by bit */
};

enum answer {
	NO,
	MAYBE,
	YES,
};

struct reading {
	struct asking *asking;
	struct word words[WORDS + 4];
	enum course course;
	bool told; /* a verdict; what stands behind it is of no interest */
};

static struct word *register_of(struct reading *s, const struct nftnl_expr *e, uint16_t attribute)
{
	uint32_t number = nftnl_expr_get_u32(e, attribute);

	if (number >= NFT_REG32_00)
		return &s->words[(number - NFT_REG32_00) % WORDS];
	return &s->words[((number - NFT_REG_1) * 4) % WORDS];
}

/* Loads what nothing is known of; an address is the longest. */
static struct word *load_unknown(struct reading *s, const struct nftnl_expr *e, uint16_t attribute)
{
	struct word *to = register_of(s, e, attribute);

	memset(to, 0, 4 * sizeof(*to));
	return to;
}

/* Loads len bytes of a value, of which the bits of known are. */
static void load(struct word *to, const void *bytes, uint32_t known, size_t len)
{
	memcpy(to->bytes, bytes, len);
	memcpy(to->known, &known, len);
}

static void load_byte(struct word *to, uint8_t value)
{
	load(to, &value, UINT32_MAX, sizeof(value));
}

static void on_meta(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY);
	struct word *to;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_META_DREG))
		return; /* sets something */
	to = load_unknown(s, e, NFTNL_EXPR_META_DREG);
	if (key == NFT_META_NFPROTO)
		load_byte(to, s->asking->packet->family == FAMILY_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	else if (key == NFT_META_L4PROTO)
		load_byte(to, s->asking->packet->proto);
	else if (key == NFT_META_IIF || key == NFT_META_IIFNAME)
		to->content = CONTENT_INTERFACE;
}

static void on_payload(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t base = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_BASE);
	uint32_t offset = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET);
	uint32_t len = nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_LEN);
	bool v4 = s->asking->packet->family == FAMILY_V4;
	const uint8_t syn = TH_SYN;
	struct word *to;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_PAYLOAD_DREG))
		return; /* changes the packet */
	to = load_unknown(s, e, NFTNL_EXPR_PAYLOAD_DREG);
	if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && len == 2)
		to->content = CONTENT_PORT;
	else if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 0 && len == 2)
		to->content = CONTENT_CLIENT_PORT;
	else if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == TCP_FLAGS && len == 1)
		load(to, &syn, TCP_FLAGS_KNOWN, len);
	else if (base == NFT_PAYLOAD_NETWORK_HEADER && len == 1 && offset == (v4 ? 9 : 6))
		load_byte(to, s->asking->packet->proto);
}

/* Of a status nothing is known but whether the destination was changed. */
static void on_ct(struct reading *s, const struct nftnl_expr *e)
{
	bool original = nftnl_expr_is_set(e, NFTNL_EXPR_CT_DIR) &&
			nftnl_expr_get_u8(e, NFTNL_EXPR_CT_DIR) == IP_CT_DIR_ORIGINAL;
	uint32_t state = NF_CT_STATE_BIT(IP_CT_NEW);
	uint32_t status = s->asking->packet->redirected ? IPS_DST_NAT : 0;
	struct word *to;

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG))
		return;
	to = load_unknown(s, e, NFTNL_EXPR_CT_DREG);
	switch (nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY)) {
	case NFT_CT_STATE:
		load(to, &state, UINT32_MAX, sizeof(state));
		break;
	case NFT_CT_STATUS:
		load(to, &status, IPS_DST_NAT, sizeof(status));
		break;
	case NFT_CT_PROTO_DST:
		if (original)
			to->content = CONTENT_ASKED_PORT;
		break;
	case NFT_CT_DIRECTION:
		load_byte(to, IP_CT_DIR_ORIGINAL);
		break;
	default:
		break;
	}
}

static void on_bitwise(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t mask_len = 0, flip_len = 0;
	const unsigned char *mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &mask_len);
	const unsigned char *flip = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &flip_len);
	struct word word = *register_of(s, e, NFTNL_EXPR_BITWISE_SREG);
	struct word *to = load_unknown(s, e, NFTNL_EXPR_BITWISE_DREG);

	/* What is longer are masks of addresses. */
	if (!mask || !flip || mask_len > WORD || flip_len != mask_len)
		return;
	for (size_t i = 0; i < mask_len; i++) {
		word.bytes[i] = (unsigned char)((word.bytes[i] & mask[i]) ^ flip[i]);
		word.known[i] |= (unsigned char)~mask[i];
	}
	if (word.content == CONTENT_BYTES)
		*to = word;
}

static bool is_loopback(const unsigned char *bytes)
{
	uint32_t index;

	memcpy(&index, bytes, sizeof(index));
	return index == LOOPBACK_INDEX || memcmp(bytes, "lo", sizeof("lo")) == 0;
}

static uint16_t port_of(const unsigned char *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* Whether a word lies between two, of which the first len bytes matter. */
static enum answer word_within(struct packet *packet, const struct word *word,
			       const unsigned char *lo, const unsigned char *hi, size_t len)
{
	enum answer answer = YES;

	if (word->content == CONTENT_PORT || word->content == CONTENT_ASKED_PORT)
		return packet_port(packet, word->content == CONTENT_ASKED_PORT, port_of(lo),
				   port_of(hi))
			       ? YES
			       : NO;
	if (word->content == CONTENT_CLIENT_PORT)
		return packet->tracking && port_of(hi) < IPPORT_RESERVED ? NO : MAYBE;
	if (word->content == CONTENT_INTERFACE)
		return len >= sizeof("lo") && is_loopback(lo) ? NO : MAYBE;
	for (size_t i = 0; i < len; i++) {
		if (word->known[i] != UINT8_MAX)
			answer = MAYBE;
		if (lo[i] == hi[i] && ((word->bytes[i] ^ lo[i]) & word->known[i]))
			return NO;
	}
	if (answer == YES && (memcmp(word->bytes, lo, len) < 0 || memcmp(word->bytes, hi, len) > 0))
		return NO;
	return answer;
}

/* The same for words side by side. */
static enum answer within(struct packet *packet, const struct word *words,
			  const struct set_element *element)
{
	enum answer answer = YES;

	for (size_t i = 0; i < element->len && answer != NO; i += WORD) {
		size_t len = element->len - i < WORD ? element->len - i : WORD;
		enum answer one = word_within(packet, &words[i / WORD], element->lo + i,
					      element->hi + i, len);

		if (one < answer)
			answer = one;
	}
	return answer;
}

static void ask(struct asking *a, enum answer answer, bool negated)
{
	if (answer == MAYBE)
		a->maybe = true;
	else
		rule_asks(a, (answer == YES) != negated);
}

/* From one value to another; NULL: from the lowest, to the highest. */
static struct set_element between(const void *lo, const void *hi, uint32_t len)
{
	struct set_element element = { .len = len <= SET_KEY_MAX ? len : 0 };

	memset(element.hi, UINT8_MAX, element.len);
	if (lo)
		memcpy(element.lo, lo, element.len);
	if (hi)
		memcpy(element.hi, hi, element.len);
	return element;
}

static void on_cmp(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t op = nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_OP), len = 0;
	const void *data = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &len);
	bool upwards = op == NFT_CMP_GTE || op == NFT_CMP_LT; /* or not upwards from there */
	bool downwards = op == NFT_CMP_LTE || op == NFT_CMP_GT;
	struct set_element with = between(downwards ? NULL : data, upwards ? NULL : data, len);

	ask(s->asking, within(s->asking->packet, register_of(s, e, NFTNL_EXPR_CMP_SREG), &with),
	    op == NFT_CMP_NEQ || op == NFT_CMP_LT || op == NFT_CMP_GT);
}

static void on_range(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *from = nftnl_expr_get(e, NFTNL_EXPR_RANGE_FROM_DATA, &len);
	const void *to = nftnl_expr_get(e, NFTNL_EXPR_RANGE_TO_DATA, &len);
	struct set_element with = between(from, to, len);

	ask(s->asking, within(s->asking->packet, register_of(s, e, NFTNL_EXPR_RANGE_SREG), &with),
	    nftnl_expr_get_u32(e, NFTNL_EXPR_RANGE_OP) == NFT_RANGE_NEQ);
}

static void say(struct reading *s, enum verdict verdict, const char *chain)
{
	s->course = rule_says(s->asking, verdict, chain);
	s->told = s->course != COURSE_NEXT;
}

static void say_nft(struct reading *s, uint32_t code, const char *chain)
{
	static const enum verdict verdicts[] = {
		[-NFT_RETURN] = VERDICT_RETURN,
		[-NFT_JUMP] = VERDICT_JUMP,
		[-NFT_GOTO] = VERDICT_GOTO,
	};
	uint32_t jump = -code;

	if (code == NF_ACCEPT || code == NF_DROP)
		say(s, code == NF_ACCEPT ? VERDICT_ACCEPT : VERDICT_DROP, NULL);
	else if (jump < ELEMENTS(verdicts))
		say(s, verdicts[jump], chain ? chain : "");
}

/* Looks something up in a set, or in a map of verdicts, of which the rule says what is found. */
static enum answer look_up(struct reading *s, const struct word *words, const struct set *set,
			   bool map)
{
	bool maybe_before = s->asking->maybe;
	enum answer answer = NO;

	/* What stands for the rest comes last. */
	for (size_t i = 0; i < set->n && answer != YES && !s->told; i++) {
		const struct set_element *element = &set->items[i];
		enum answer one = within(s->asking->packet, words, element);

		if (element->rest)
			one = answer == MAYBE ? MAYBE : YES;
		if (one == NO)
			continue;
		answer = one;
		s->asking->maybe |= one == MAYBE;
		if (map)
			say_nft(s, element->verdict, element->chain);
		s->asking->maybe = maybe_before;
	}
	return answer;
}

static void on_lookup(struct reading *s, const struct nftnl_expr *e)
{
	const struct word *words = register_of(s, e, NFTNL_EXPR_LOOKUP_SREG);
	bool map = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG);
	struct asking *a = s->asking;
	const struct set *set;

	/* Sets of addresses may be large, and nothing is known of the client's. */
	if (!map && words->content == CONTENT_BYTES && words->known[0] == 0) {
		a->maybe = true;
		return;
	}
	set = set_find(a->userdata, a->chain->nft_family, a->chain->table,
		       nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET));
	if (map && nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG) != NFT_REG_VERDICT)
		(void)load_unknown(s, e, NFTNL_EXPR_LOOKUP_DREG);
	else if (!set || !set->known)
		a->maybe = true;
	else if (map)
		rule_asks(a, look_up(s, words, set, true) != NO);
	else
		ask(a, look_up(s, words, set, false),
		    nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV);
}

static void on_immediate(struct reading *s, const struct nftnl_expr *e)
{
	if (nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_DREG) != NFT_REG_VERDICT)
		(void)load_unknown(s, e, NFTNL_EXPR_IMM_DREG);
	else
		say_nft(s, nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT),
			nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN));
}

static void on_reject(struct reading *s, const struct nftnl_expr *e _unused_)
{
	say(s, VERDICT_DROP, NULL);
}

static void on_notrack(struct reading *s, const struct nftnl_expr *e _unused_)
{
	say(s, VERDICT_UNTRACK, NULL);
}

static void on_match(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &len);

	rule_asks_xt(s->asking, nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME),
		     nftnl_expr_get_u32(e, NFTNL_EXPR_MT_REV), info ? info : "", len);
}

static void on_target(struct reading *s, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_TG_INFO, &len);

	say(s, xt_target_verdict(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME), info, len), NULL);
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
	{ "notrack", on_notrack },
	{ "objref", NULL },
	{ "payload", on_payload },
	{ "range", on_range },
	{ "reject", on_reject },
	{ "target", on_target },
};

/* Returns -1 where nothing behind it matters. */
static int read_expression(struct nftnl_expr *e, void *userdata)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	struct reading *s = userdata;

	for (size_t i = 0; i < ELEMENTS(expressions); i++) {
		if (strcmp(name, expressions[i].name) != 0)
			continue;
		if (expressions[i].read) /* else it decides nothing */
			expressions[i].read(s, e);
		return s->told || s->asking->refused ? -1 : 0;
	}
	s->asking->maybe = true;
	return 0;
}

enum course nft_rule_judge(struct asking *a)
{
	struct reading s = { .asking = a };

	(void)nftnl_expr_foreach((struct nftnl_rule *)(uintptr_t)a->rule->raw, read_expression, &s);
	return s.course;
}
