/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The expressions of one rule of nf_tables, one after the other, over registers of which not all is
 * known. */

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "daemon/firewall/walk.h"
#include "daemon/os/netlink.h"

#define WORD           sizeof(uint32_t)
#define WORDS          16   /* of the longest value */
#define REGISTERS      20   /* words: the verdict's, then those of NFT_REG_1 to _4 */
#define ELEMENTS_MAX   4096 /* of a set: more than somebody wrote down */
#define LOOPBACK_INDEX htonl(1)
#define LOOPBACK_NAME  0x6c6f0000U /* "lo" */
#define ECN_FLAGS      0xc0000000U

/* Of a header, where in it, how many bytes. */
#define PLACE(base, offset, len) ((uint32_t)(base) << 16 | (uint32_t)(offset) << 8 | (len))

/* Four bytes of a register as a number, the first one highest, so that numbers compare as they do. */
struct word {
	uint32_t value, known; /* bit by bit */
	enum port port;        /* or it is this one */
	bool interface;        /* or any interface but the loopback's, by name or index */
};

/* From one value to another, side by side in words. */
struct key {
	uint32_t lo[WORDS], hi[WORDS];
	size_t len; /* bytes; 0: there is none */
};

struct nft_element {
	struct key key; /* none: all that nothing else in the set stands for */
	bool end;       /* only says where another one ends */
	int verdict;
	const char *chain;
};

struct nft_set {
	const struct nftnl_expr *by; /* who looks things up in it */
	struct arena *arena;
	bool known;     /* its elements could be had */
	bool intervals; /* an element reaches up to the next one, which is not in it any more */
	struct nft_element *items;
	size_t n;
};

/* An expression that is carried out, and what it holds. */
struct step {
	struct asking *a;
	const struct nftnl_expr *e;
	const char *expression, *text;
	uint32_t number, len;
	const void *lo, *hi;     /* values of len bytes */
	const struct word *from; /* what it reads */
	struct word to;          /* what it loads; zero: nothing is known of it */
};

/* The length counts only where there are values. */
static struct key read_key(const void *lo, const void *hi, size_t len)
{
	struct key key = { 0 };

	if (!lo || !hi || len > sizeof(key.lo))
		return key;
	key.len = len;
	memcpy(key.lo, lo, len);
	memcpy(key.hi, hi, len);
	for (size_t i = 0; i < WORDS; i++) {
		key.lo[i] = ntohl(key.lo[i]);
		key.hi[i] = ntohl(key.hi[i]);
	}
	return key;
}

static struct word byte_word(uint8_t value)
{
	return (struct word){ .value = (uint32_t)value << 24, .known = UINT32_MAX };
}

/* What is known of what it loads: by its key, or its place, or its direction (the original one is 0) and
 * key. */
static void on_load(struct step *s)
{
	const struct packet *packet = s->a->packet;
	bool v4 = packet->family == FAMILY_V4;
	const uint32_t nat = htonl(IPS_DST_NAT);
	const struct word new = { .value = htonl(NF_CT_STATE_BIT(IP_CT_NEW)), .known = UINT32_MAX };
	const struct word syn = { .value = TH_SYN << 24, .known = ~ECN_FLAGS };
	const struct {
		const char *expression;
		uint32_t number;
		struct word word;
	} words[] = {
		{ "meta", NFT_META_IIF, { .interface = true } },
		{ "meta", NFT_META_IIFNAME, { .interface = true } },
		{ "meta", NFT_META_NFPROTO, byte_word(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6) },
		{ "meta", NFT_META_L4PROTO, byte_word(packet->proto) },
		{ "payload", PLACE(NFT_PAYLOAD_NETWORK_HEADER, v4 ? 9 : 6, 1),
		  byte_word(packet->proto) },
		{ "payload", PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2), { .port = PORT_CLIENT } },
		{ "payload", PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), { .port = PORT_REACHED } },
		{ "payload", PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1), syn },
		{ "ct", NFT_CT_STATE, new },
		{ "ct", NFT_CT_STATUS, { .value = packet->redirected ? nat : 0, .known = nat } },
		{ "ct", NFT_CT_DIRECTION, byte_word(IP_CT_DIR_ORIGINAL) },
		{ "ct", NFT_CT_PROTO_DST, { .port = PORT_ASKED } },
	};

	for (size_t i = 0; i < ELEMENTS(words); i++)
		if (s->number == words[i].number && strcmp(s->expression, words[i].expression) == 0)
			s->to = words[i].word;
}

static void on_bitwise(struct step *s)
{
	const struct key key = read_key(s->lo, s->hi, s->len);
	uint32_t mask = key.lo[0], flips = key.hi[0];

	/* What is longer are masks of addresses. */
	if (!s->from->port && !s->from->interface && key.len > 0 && key.len <= WORD)
		s->to = (struct word){ .value = (s->from->value & mask) ^ flips,
				       .known = s->from->known | ~mask };
}

/* Of what the words hold, for the n-th. */
static enum answer word_within(struct packet *packet, const struct word *word,
			       const struct key *key, size_t n)
{
	uint32_t lo = key->lo[n], hi = key->hi[n];

	if (word->port)
		return ask_port(packet, word->port, (uint16_t)(lo >> 16), (uint16_t)(hi >> 16));
	if (word->interface)
		return (lo == LOOPBACK_NAME && key->len > 2) || lo == LOOPBACK_INDEX ? NO : MAYBE;
	if (lo == hi && ((word->value ^ lo) & word->known))
		return NO;
	if (word->known != UINT32_MAX)
		return MAYBE;
	return answer_of(lo <= word->value && word->value <= hi, false);
}

static enum answer within(struct packet *packet, const struct word *words, const struct key *key)
{
	enum answer answer = YES;

	for (size_t i = 0; i * WORD < key->len && answer != NO; i++)
		answer = answer_both(answer, word_within(packet, &words[i], key, i));
	return answer;
}

/* By NFT_CMP_*, of which NFT_RANGE_* are the first. */
static void on_compare(struct step *s)
{
	struct key key = read_key(s->lo, s->hi, s->len);
	uint32_t op = s->number;

	/* From there on (or not), up to there (or not). */
	if (op == NFT_CMP_GTE || op == NFT_CMP_LT)
		memset(key.hi, UINT8_MAX, sizeof(key.hi));
	else if (op == NFT_CMP_LTE || op == NFT_CMP_GT)
		memset(key.lo, 0, sizeof(key.lo));
	rule_asks(s->a, answer_unless(within(s->a->packet, s->from, &key),
				      op == NFT_CMP_NEQ || op == NFT_CMP_LT || op == NFT_CMP_GT));
}

static int on_element(struct nftnl_set_elem *e, void *userdata)
{
	struct nft_set *set = userdata;
	uint32_t len = 0, other;
	const void *lo = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);
	const void *hi = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY_END, &other);
	const uint32_t *flags = nftnl_set_elem_get(e, NFTNL_SET_ELEM_FLAGS, &other);
	const uint32_t *verdict = nftnl_set_elem_get(e, NFTNL_SET_ELEM_VERDICT, &other);
	const char *chain = nftnl_set_elem_get(e, NFTNL_SET_ELEM_CHAIN, &other);
	const struct nft_element element = {
		.key = read_key(lo, hi ? hi : lo, len),
		.end = flags && (*flags & NFT_SET_ELEM_INTERVAL_END),
		.verdict = verdict ? (int)*verdict : NFT_CONTINUE,
		.chain = chain ? arena_strdup(set->arena, chain) : NULL,
	};

	set->intervals |= element.end;
	array_push(set->arena, set, element);
	return set->n > ELEMENTS_MAX ? -1 : 0;
}

DEFINE_CLEANUP(struct nftnl_set *, nftnl_set_free, NULL);

static void end_interval(struct key *key, const struct nft_set *set)
{
	key->hi[0] = UINT32_MAX;
	for (size_t i = 0; i < set->n; i++) {
		uint32_t next = set->items[i].key.lo[0];

		if (next > key->lo[0] && next <= key->hi[0])
			key->hi[0] = next - 1;
	}
}

/* Asks the kernel for the elements once for each expression. */
static struct nft_set find_set(const struct asking *a, const struct nftnl_expr *e)
{
	_cleanup_(nftnl_set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct nft_sets *sets = a->chains->userdata;
	struct nft_set set = { .by = e, .arena = a->chains->arena };

	for (size_t i = 0; i < sets->n; i++)
		if (sets->items[i].by == e)
			return sets->items[i];
	if (s && nftnl_set_set_str(s, NFTNL_SET_TABLE, a->chain->table) == 0 &&
	    nftnl_set_set_str(s, NFTNL_SET_NAME, nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET)) ==
		    0) {
		nftnl_set_set_u32(s, NFTNL_SET_FAMILY, a->chain->nfproto);
		set.known = netlink_fill_nft_set(s) == 0 &&
			    nftnl_set_elem_foreach(s, on_element, &set) == 0;
	}
	for (size_t i = 0; i < set.n && set.intervals; i++)
		end_interval(&set.items[i].key, &set);
	array_push(set.arena, sets, set);
	return set;
}

/* Looks something up in a set, or in a map of verdicts, of which the rule says what is found. */
static enum answer look_up(struct asking *a, const struct word *words, const struct nft_set *set)
{
	enum answer before = a->applies, answer = NO, one;

	for (size_t i = 0; i < set->n && answer != YES && a->verdict == NFT_CONTINUE; i++) {
		const struct nft_element *element = &set->items[i];

		if (element->end)
			continue;
		if (element->key.len > 0)
			one = within(a->packet, words, &element->key);
		else
			one = answer_unless(answer, true); /* comes last */
		rule_asks(a, one);
		rule_says(a, element->verdict, element->chain);
		a->applies = before;
		answer = one > answer ? one : answer;
	}
	return answer;
}

static void on_lookup(struct step *s)
{
	bool map = nftnl_expr_is_set(s->e, NFTNL_EXPR_LOOKUP_DREG);
	struct nft_set set = { 0 };

	if (map && nftnl_expr_get_u32(s->e, NFTNL_EXPR_LOOKUP_DREG) != NFT_REG_VERDICT)
		return;
	/* Sets of addresses may be large, and nothing is known of the client's. */
	if (map || s->from->port || s->from->interface || s->from->known)
		set = find_set(s->a, s->e);
	rule_asks(s->a, set.known ? answer_unless(look_up(s->a, s->from, &set),
						  s->number & NFT_LOOKUP_F_INV)
				  : MAYBE);
}

static void on_immediate(struct step *s)
{
	if (nftnl_expr_is_set(s->e, NFTNL_EXPR_IMM_VERDICT))
		rule_says(s->a, (int)s->number, s->text);
}

static void on_match(struct step *s)
{
	rule_asks(s->a, ask_match(s->a->packet, s->text, s->number, s->lo));
}

static void on_target(struct step *s)
{
	rule_says(s->a, target_verdict(s->text, s->lo), s->text);
}

static const struct expression {
	const char *name;
	void (*read)(struct step *s);
	int verdict; /* that it is, without read */
	/* Its attributes; 0: it has none. */
	uint16_t from, to; /* registers */
	uint16_t text;
	uint16_t numbers[3]; /* of which one is made */
	uint16_t lo, hi;     /* values */
} expressions[] = {
	{ "bitwise", on_bitwise, .from = NFTNL_EXPR_BITWISE_SREG, .to = NFTNL_EXPR_BITWISE_DREG,
	  .lo = NFTNL_EXPR_BITWISE_MASK, .hi = NFTNL_EXPR_BITWISE_XOR },
	{ "cmp", on_compare, .from = NFTNL_EXPR_CMP_SREG, .numbers = { NFTNL_EXPR_CMP_OP },
	  .lo = NFTNL_EXPR_CMP_DATA, .hi = NFTNL_EXPR_CMP_DATA },
	{ "counter", .verdict = NFT_CONTINUE },
	{ "ct", on_load, .to = NFTNL_EXPR_CT_DREG,
	  .numbers = { NFTNL_EXPR_CT_DIR, NFTNL_EXPR_CT_KEY } },
	{ "immediate", on_immediate, .to = NFTNL_EXPR_IMM_DREG, .text = NFTNL_EXPR_IMM_CHAIN,
	  .numbers = { NFTNL_EXPR_IMM_VERDICT } },
	{ "log", .verdict = NFT_CONTINUE },
	{ "lookup", on_lookup, .from = NFTNL_EXPR_LOOKUP_SREG, .to = NFTNL_EXPR_LOOKUP_DREG,
	  .text = NFTNL_EXPR_LOOKUP_SET, .numbers = { NFTNL_EXPR_LOOKUP_FLAGS } },
	{ "match", on_match, .text = NFTNL_EXPR_MT_NAME, .numbers = { NFTNL_EXPR_MT_REV },
	  .lo = NFTNL_EXPR_MT_INFO },
	{ "meta", on_load, .to = NFTNL_EXPR_META_DREG, .numbers = { NFTNL_EXPR_META_KEY } },
	{ "notrack", .verdict = VERDICT_UNTRACK },
	{ "objref", .verdict = NFT_CONTINUE },
	{ "payload", on_load, .to = NFTNL_EXPR_PAYLOAD_DREG,
	  .numbers = { NFTNL_EXPR_PAYLOAD_BASE, NFTNL_EXPR_PAYLOAD_OFFSET,
		       NFTNL_EXPR_PAYLOAD_LEN } },
	{ "range", on_compare, .from = NFTNL_EXPR_RANGE_SREG, .numbers = { NFTNL_EXPR_RANGE_OP },
	  .lo = NFTNL_EXPR_RANGE_FROM_DATA, .hi = NFTNL_EXPR_RANGE_TO_DATA },
	{ "reject", .verdict = NF_DROP },
	{ "target", on_target, .text = NFTNL_EXPR_TG_NAME, .lo = NFTNL_EXPR_TG_INFO },
	{ .name = NULL }, /* any other */
};

/* 0 for the attribute: there is none. */
static uint32_t number_of(const struct nftnl_expr *e, uint16_t attribute)
{
	return attribute ? nftnl_expr_get_u32(e, attribute) | nftnl_expr_get_u8(e, attribute) : 0;
}

static const void *value_of(const struct nftnl_expr *e, uint16_t attribute, uint32_t *len)
{
	return attribute ? nftnl_expr_get(e, attribute, len) : NULL;
}

static struct word *register_of(struct asking *a, uint32_t number)
{
	return &a->registers[(number < NFT_REG32_00 ? number * 4 : number - 4) % REGISTERS];
}

/* Returns -1 where nothing behind it matters. */
static int read_expression(struct nftnl_expr *e, void *userdata)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	const struct expression *x = expressions;
	struct asking *a = userdata;
	struct step s = { .a = a, .e = e, .expression = name };

	while (x->name && strcmp(name, x->name) != 0)
		x++;
	s.text = value_of(e, x->text, &s.len);
	for (size_t i = 0; i < ELEMENTS(x->numbers) && x->numbers[i]; i++)
		s.number = s.number << 8 | number_of(e, x->numbers[i]);
	s.lo = value_of(e, x->lo, &s.len);
	s.hi = value_of(e, x->hi, &s.len);
	s.from = register_of(a, number_of(e, x->from));
	if (x->read) {
		x->read(&s);
	} else if (x->name) {
		rule_says(a, x->verdict, NULL);
	} else {
		/* It may have loaded something, too. */
		rule_asks(a, MAYBE);
		memset(a->registers, 0, (REGISTERS + WORDS) * sizeof(*a->registers));
	}
	if (x->to) {
		struct word *to = register_of(a, number_of(e, x->to));

		memset(to, 0, 4 * sizeof(*to)); /* an address is the longest */
		*to = s.to;
	}
	return a->verdict != NFT_CONTINUE || a->applies == NO ? -1 : 0;
}

void nft_rule_judge(struct asking *a)
{
	struct word registers[REGISTERS + WORDS] = { 0 };

	a->registers = registers;
	(void)nftnl_expr_foreach((struct nftnl_rule *)(uintptr_t)a->rule->raw, read_expression, a);
}
