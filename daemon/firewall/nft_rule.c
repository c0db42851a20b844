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
#define WORDS          16   /* NFT_REG32_00 to _15; NFT_REG_1 to _4 are four of them each */
#define ELEMENTS_MAX   4096 /* of a set: more than somebody wrote down */
#define LOOPBACK_INDEX htonl(1)
#define LOOPBACK_NAME  0x6c6f0000U /* "lo" */
#define ECN_FLAGS      0xc0000000U
#define ORIGINAL       0x10000U /* key of the original direction */

/* Of a header, where in it, how many bytes. */
#define PLACE(base, offset, len) ((uint32_t)(base) << 28 | (uint32_t)(offset) << 8 | (len))
#define PROTO4                   PLACE(NFT_PAYLOAD_NETWORK_HEADER, 9, 1)
#define PROTO6                   PLACE(NFT_PAYLOAD_NETWORK_HEADER, 6, 1)
#define SPORT                    PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2)
#define DPORT                    PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2)
#define TCP_FLAGS                PLACE(NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1)

/* Four bytes of a register as a number, the first one highest, so that numbers compare as they do. */
struct word {
	uint32_t value, known; /* bit by bit */
	enum port port;        /* or it is this one */
	bool interface;        /* or any interface but the loopback's, by name or index */
};

/* From one value to another, side by side in words. */
struct key {
	uint32_t lo[WORDS], hi[WORDS];
	size_t len; /* bytes; 0: all that nothing else in the set stands for */
};

struct element {
	struct key key;
	bool end; /* only says where another one ends */
	int verdict;
	const char *chain;
};

struct nft_set {
	const struct nftnl_expr *by; /* who looks things up in it */
	bool known;                  /* its elements could be had */
	struct element *items;
	size_t n;
};

static uint32_t read_word(const void *bytes, size_t len)
{
	uint32_t word = 0;

	memcpy(&word, bytes, len < WORD ? len : WORD);
	return ntohl(word);
}

static struct key read_key(const unsigned char *lo, const unsigned char *hi, size_t len)
{
	struct key key = { .len = lo && hi && len <= sizeof(key.lo) ? len : 0 };

	for (size_t i = 0; i < key.len; i += WORD) {
		key.lo[i / WORD] = read_word(lo + i, key.len - i);
		key.hi[i / WORD] = read_word(hi + i, key.len - i);
	}
	return key;
}

static struct word *register_of(struct asking *a, const struct nftnl_expr *e, uint16_t attribute)
{
	uint32_t number = nftnl_expr_get_u32(e, attribute);

	if (number >= NFT_REG32_00)
		return &a->registers[(number - NFT_REG32_00) % WORDS];
	return &a->registers[((number - NFT_REG_1) * 4) % WORDS];
}

/* Without a register to load into the expression sets something. Nothing is known of what follows; an
 * address is the longest. */
static void load(struct asking *a, const struct nftnl_expr *e, uint16_t attribute, struct word word)
{
	struct word *to = register_of(a, e, attribute);

	if (!nftnl_expr_is_set(e, attribute))
		return;
	memset(to, 0, 4 * sizeof(*to));
	*to = word;
}

static struct word byte_word(uint8_t value)
{
	return (struct word){ .value = (uint32_t)value << 24, .known = UINT32_MAX };
}

/* What is known of what an expression loads, by its key (or place, or direction and key). */
static struct word known_word(const struct packet *packet, const char *expression, uint32_t key)
{
	bool v4 = packet->family == FAMILY_V4;
	const uint32_t nat = htonl(IPS_DST_NAT);
	const struct word new = { .value = htonl(NF_CT_STATE_BIT(IP_CT_NEW)), .known = UINT32_MAX };
	const struct {
		const char *expression;
		uint32_t key;
		struct word word;
	} words[] = {
		{ "meta", NFT_META_IIF, { .interface = true } },
		{ "meta", NFT_META_IIFNAME, { .interface = true } },
		{ "meta", NFT_META_NFPROTO, byte_word(v4 ? NFPROTO_IPV4 : NFPROTO_IPV6) },
		{ "meta", NFT_META_L4PROTO, byte_word(packet->proto) },
		{ "payload", v4 ? PROTO4 : PROTO6, byte_word(packet->proto) },
		{ "payload", SPORT, { .port = PORT_CLIENT } },
		{ "payload", DPORT, { .port = PORT_REACHED } },
		{ "payload", TCP_FLAGS, { .value = TH_SYN << 24, .known = ~ECN_FLAGS } },
		{ "ct", NFT_CT_STATE, new },
		{ "ct", NFT_CT_STATUS, { .value = packet->redirected ? nat : 0, .known = nat } },
		{ "ct", NFT_CT_DIRECTION, byte_word(IP_CT_DIR_ORIGINAL) },
		{ "ct", ORIGINAL | NFT_CT_PROTO_DST, { .port = PORT_ASKED } },
	};

	for (size_t i = 0; i < ELEMENTS(words); i++)
		if (key == words[i].key && strcmp(expression, words[i].expression) == 0)
			return words[i].word;
	return (struct word){ 0 };
}

static void on_meta(struct asking *a, const struct nftnl_expr *e)
{
	load(a, e, NFTNL_EXPR_META_DREG,
	     known_word(a->packet, "meta", nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY)));
}

static void on_payload(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t place = PLACE(nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_BASE),
			       nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET),
			       nftnl_expr_get_u32(e, NFTNL_EXPR_PAYLOAD_LEN));

	load(a, e, NFTNL_EXPR_PAYLOAD_DREG, known_word(a->packet, "payload", place));
}

static void on_ct(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY);

	if (nftnl_expr_is_set(e, NFTNL_EXPR_CT_DIR) &&
	    nftnl_expr_get_u8(e, NFTNL_EXPR_CT_DIR) == IP_CT_DIR_ORIGINAL)
		key |= ORIGINAL;
	load(a, e, NFTNL_EXPR_CT_DREG, known_word(a->packet, "ct", key));
}

static void on_bitwise(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *mask = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_MASK, &len);
	const void *flip = nftnl_expr_get(e, NFTNL_EXPR_BITWISE_XOR, &len);
	struct word word = *register_of(a, e, NFTNL_EXPR_BITWISE_SREG);
	struct key bits = read_key(mask, flip, len);

	/* What is longer are masks of addresses. */
	if (word.port || word.interface || bits.len == 0 || bits.len > WORD)
		word = (struct word){ 0 };
	else
		word = (struct word){ .value = (word.value & bits.lo[0]) ^ bits.hi[0],
				      .known = word.known | ~bits.lo[0] };
	load(a, e, NFTNL_EXPR_BITWISE_DREG, word);
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

/* Compares, as NFT_CMP_*; NFT_RANGE_* are the first of these. */
static void compare(struct asking *a, const struct word *words, uint32_t op, struct key key)
{
	/* From there on (or not), up to there (or not). */
	if (op == NFT_CMP_GTE || op == NFT_CMP_LT)
		memset(key.hi, UINT8_MAX, sizeof(key.hi));
	else if (op == NFT_CMP_LTE || op == NFT_CMP_GT)
		memset(key.lo, 0, sizeof(key.lo));
	rule_asks(a, answer_unless(within(a->packet, words, &key),
				   op == NFT_CMP_NEQ || op == NFT_CMP_LT || op == NFT_CMP_GT));
}

static void on_cmp(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *data = nftnl_expr_get(e, NFTNL_EXPR_CMP_DATA, &len);

	compare(a, register_of(a, e, NFTNL_EXPR_CMP_SREG), nftnl_expr_get_u32(e, NFTNL_EXPR_CMP_OP),
		read_key(data, data, len));
}

static void on_range(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t len = 0;
	const void *from = nftnl_expr_get(e, NFTNL_EXPR_RANGE_FROM_DATA, &len);
	const void *to = nftnl_expr_get(e, NFTNL_EXPR_RANGE_TO_DATA, &len);

	compare(a, register_of(a, e, NFTNL_EXPR_RANGE_SREG),
		nftnl_expr_get_u32(e, NFTNL_EXPR_RANGE_OP), read_key(from, to, len));
}

DEFINE_CLEANUP(struct nftnl_set *, nftnl_set_free, NULL);
DEFINE_CLEANUP(struct nftnl_set_elems_iter *, nftnl_set_elems_iter_destroy, NULL);

static struct element read_element(struct arena *arena, struct nftnl_set_elem *e)
{
	uint32_t len = 0, other;
	const void *lo = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);
	const void *hi = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY_END, &other);
	const uint32_t *flags = nftnl_set_elem_get(e, NFTNL_SET_ELEM_FLAGS, &other);
	const uint32_t *verdict = nftnl_set_elem_get(e, NFTNL_SET_ELEM_VERDICT, &other);
	const char *chain = nftnl_set_elem_get(e, NFTNL_SET_ELEM_CHAIN, &other);

	return (struct element){
		.key = read_key(lo, hi ? hi : lo, len),
		.end = flags && (*flags & NFT_SET_ELEM_INTERVAL_END),
		.verdict = verdict ? (int)*verdict : NFT_CONTINUE,
		.chain = chain ? arena_strdup(arena, chain) : NULL,
	};
}

/* In a set of intervals an element reaches up to the next one, which is not in it any more. */
static void end_interval(struct key *key, const struct nft_set *set)
{
	key->hi[0] = UINT32_MAX;
	for (size_t i = 0; i < set->n; i++) {
		uint32_t next = set->items[i].key.lo[0];

		if (next > key->lo[0] && next <= key->hi[0])
			key->hi[0] = next - 1;
	}
}

static bool read_set(const struct asking *a, const char *name, struct nft_set *ret)
{
	_cleanup_(nftnl_set_elems_iter_destroyp) struct nftnl_set_elems_iter *iter = NULL;
	_cleanup_(nftnl_set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_set_elem *e;
	bool intervals = false;

	if (!s || nftnl_set_set_str(s, NFTNL_SET_TABLE, a->chain->table) < 0 ||
	    nftnl_set_set_str(s, NFTNL_SET_NAME, name) < 0)
		return false;
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, a->chain->nfproto);
	if (netlink_fill_nft_set(s) != 0)
		return false;
	iter = nftnl_set_elems_iter_create(s);
	while (iter && ret->n <= ELEMENTS_MAX && (e = nftnl_set_elems_iter_next(iter))) {
		struct element element = read_element(a->chains->arena, e);

		intervals |= element.end;
		array_push(a->chains->arena, ret, element);
	}
	for (size_t i = 0; i < ret->n && intervals; i++)
		end_interval(&ret->items[i].key, ret);
	return iter && ret->n <= ELEMENTS_MAX;
}

/* Asks the kernel for the elements once for each expression. */
static struct nft_set find_set(const struct asking *a, const struct nftnl_expr *e)
{
	struct nft_sets *sets = a->chains->userdata;
	struct nft_set set = { .by = e };

	for (size_t i = 0; i < sets->n; i++)
		if (sets->items[i].by == e)
			return sets->items[i];
	set.known = read_set(a, nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET), &set);
	array_push(a->chains->arena, sets, set);
	return set;
}

/* Looks something up in a set, or in a map of verdicts, of which the rule says what is found. */
static enum answer look_up(struct asking *a, const struct word *words, const struct nft_set *set)
{
	enum answer before = a->applies, answer = NO, one;

	for (size_t i = 0; i < set->n && answer != YES && a->verdict == NFT_CONTINUE; i++) {
		const struct element *element = &set->items[i];

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

static void on_lookup(struct asking *a, const struct nftnl_expr *e)
{
	const struct word *words = register_of(a, e, NFTNL_EXPR_LOOKUP_SREG);
	bool map = nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG);
	bool negated = nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) & NFT_LOOKUP_F_INV;
	struct nft_set set = { 0 };

	if (map && nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG) != NFT_REG_VERDICT) {
		load(a, e, NFTNL_EXPR_LOOKUP_DREG, (struct word){ 0 });
		return;
	}
	/* Sets of addresses may be large, and nothing is known of the client's. */
	if (map || words->port || words->interface || words->known)
		set = find_set(a, e);
	rule_asks(a, set.known ? answer_unless(look_up(a, words, &set), negated) : MAYBE);
}

static void on_immediate(struct asking *a, const struct nftnl_expr *e)
{
	if (nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_DREG) != NFT_REG_VERDICT)
		load(a, e, NFTNL_EXPR_IMM_DREG, (struct word){ 0 });
	else
		rule_says(a, (int)nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT),
			  nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN));
}

static void on_match(struct asking *a, const struct nftnl_expr *e)
{
	uint32_t len;

	rule_asks(a, ask_match(a->packet, nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME),
			       nftnl_expr_get_u32(e, NFTNL_EXPR_MT_REV),
			       nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &len)));
}

static void on_target(struct asking *a, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME);
	uint32_t len;

	rule_says(a, target_verdict(name, nftnl_expr_get(e, NFTNL_EXPR_TG_INFO, &len)), name);
}

static const struct {
	const char *name;
	void (*read)(struct asking *a, const struct nftnl_expr *e);
	int verdict; /* that it is, without read */
} expressions[] = {
	{ "bitwise", .read = on_bitwise },
	{ "cmp", .read = on_cmp },
	{ "counter", .verdict = NFT_CONTINUE },
	{ "ct", .read = on_ct },
	{ "immediate", .read = on_immediate },
	{ "log", .verdict = NFT_CONTINUE },
	{ "lookup", .read = on_lookup },
	{ "match", .read = on_match },
	{ "meta", .read = on_meta },
	{ "notrack", .verdict = VERDICT_UNTRACK },
	{ "objref", .verdict = NFT_CONTINUE },
	{ "payload", .read = on_payload },
	{ "range", .read = on_range },
	{ "reject", .verdict = NF_DROP },
	{ "target", .read = on_target },
};

/* Returns -1 where nothing behind it matters. */
static int read_expression(struct nftnl_expr *e, void *userdata)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	struct asking *a = userdata;
	size_t i = 0;

	while (i < ELEMENTS(expressions) && strcmp(name, expressions[i].name) != 0)
		i++;
	if (i == ELEMENTS(expressions))
		rule_asks(a, MAYBE);
	else if (expressions[i].read)
		expressions[i].read(a, e);
	else
		rule_says(a, expressions[i].verdict, NULL);
	return a->verdict != NFT_CONTINUE || a->applies == NO ? -1 : 0;
}

void nft_rule_judge(struct asking *a)
{
	struct word registers[WORDS + 4] = { 0 };

	a->registers = registers;
	(void)nftnl_expr_foreach((struct nftnl_rule *)(uintptr_t)a->rule->raw, read_expression, a);
}
