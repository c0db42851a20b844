/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/nft_expression.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

/* What nft writes in front of a rule's comment. */
#define UDATA_COMMENT 0

#define TCP_FLAGS_OFFSET 13
#define TCP_FIN          0x01
#define TCP_SYN          0x02
#define TCP_RST          0x04
#define TCP_ACK          0x10

struct expression {
	struct nlmsghdr *message;
	struct nlattr *element, *data;
};

void nft_put_be32(struct nlmsghdr *message, unsigned attribute, uint32_t value)
{
	mnl_attr_put_u32(message, (uint16_t)attribute, htonl(value));
}

static struct expression begin(struct nlmsghdr *message, const char *name)
{
	struct expression e = { .message = message };

	e.element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_strz(message, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
	return e;
}

static void end(const struct expression *e)
{
	mnl_attr_nest_end(e->message, e->data);
	mnl_attr_nest_end(e->message, e->element);
}

static void put_data(struct nlmsghdr *message, unsigned attribute, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(message, (uint16_t)attribute);

	mnl_attr_put(message, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(message, nest);
}

/* All expressions pass what they look at in this register. */
static void put_register(struct nlmsghdr *message, unsigned attribute)
{
	nft_put_be32(message, attribute, NFT_REG_1);
}

static void put_meta(struct nlmsghdr *message, uint32_t key)
{
	const struct expression e = begin(message, "meta");

	nft_put_be32(message, NFTA_META_KEY, key);
	put_register(message, NFTA_META_DREG);
	end(&e);
}

static void put_payload(struct nlmsghdr *message, uint32_t base, uint32_t offset, uint32_t size)
{
	const struct expression e = begin(message, "payload");

	put_register(message, NFTA_PAYLOAD_DREG);
	nft_put_be32(message, NFTA_PAYLOAD_BASE, base);
	nft_put_be32(message, NFTA_PAYLOAD_OFFSET, offset);
	nft_put_be32(message, NFTA_PAYLOAD_LEN, size);
	end(&e);
}

/* What the first packet of the connection was sent to. */
static void put_original(struct nlmsghdr *message, uint32_t key)
{
	const struct expression e = begin(message, "ct");

	put_register(message, NFTA_CT_DREG);
	nft_put_be32(message, NFTA_CT_KEY, key);
	mnl_attr_put_u8(message, NFTA_CT_DIRECTION, IP_CT_DIR_ORIGINAL);
	end(&e);
}

static void put_compare(struct nlmsghdr *message, enum nft_cmp_ops op, const void *value,
			size_t size)
{
	const struct expression e = begin(message, "cmp");

	put_register(message, NFTA_CMP_SREG);
	nft_put_be32(message, NFTA_CMP_OP, op);
	put_data(message, NFTA_CMP_DATA, value, size);
	end(&e);
}

static void put_mask(struct nlmsghdr *message, const void *mask, size_t size)
{
	static const unsigned char zero[16];
	const struct expression e = begin(message, "bitwise");

	put_register(message, NFTA_BITWISE_SREG);
	put_register(message, NFTA_BITWISE_DREG);
	nft_put_be32(message, NFTA_BITWISE_LEN, (uint32_t)size);
	put_data(message, NFTA_BITWISE_MASK, mask, size);
	put_data(message, NFTA_BITWISE_XOR, zero, size);
	end(&e);
}

static void put_network_order(struct nlmsghdr *message)
{
	const struct expression e = begin(message, "byteorder");

	put_register(message, NFTA_BYTEORDER_SREG);
	put_register(message, NFTA_BYTEORDER_DREG);
	nft_put_be32(message, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nft_put_be32(message, NFTA_BYTEORDER_LEN, sizeof(uint32_t));
	nft_put_be32(message, NFTA_BYTEORDER_SIZE, sizeof(uint32_t));
	end(&e);
}

static void put_lookup(struct nlmsghdr *message, const struct nft_set *set)
{
	const struct expression e = begin(message, "lookup");

	mnl_attr_put_strz(message, NFTA_LOOKUP_SET, set->name);
	put_register(message, NFTA_LOOKUP_SREG);
	/* Said, so that it is noticed where others turn the rule around. */
	nft_put_be32(message, NFTA_LOOKUP_FLAGS, 0);
	end(&e);
}

/* Compares the register with the match's set, network, range or value. */
static void put_operand(struct nlmsghdr *message, const struct nft_match *match, size_t size)
{
	enum nft_cmp_ops op = match->op == OP_NOT ? NFT_CMP_NEQ : NFT_CMP_EQ;
	const struct nft_interval *value = &match->value;
	unsigned char mask[16];

	if (match->set) {
		put_lookup(message, match->set);
	} else if (memcmp(value->lo, value->hi, size) == 0) {
		put_compare(message, op, value->lo, size);
	} else if (match->field == NFT_FIELD_SRC || match->field == NFT_FIELD_DST) {
		for (size_t i = 0; i < size; i++)
			mask[i] = (unsigned char)~(value->lo[i] ^ value->hi[i]);
		put_mask(message, mask, size);
		put_compare(message, op, value->lo, size);
	} else {
		put_compare(message, NFT_CMP_GTE, value->lo, size);
		put_compare(message, NFT_CMP_LTE, value->hi, size);
	}
}

/* The comparison of an exact name goes beyond its NUL. */
static void put_iface(struct nlmsghdr *message, const struct nft_match *match)
{
	size_t len = strnlen(match->iface, IFNAMSIZ - 1);
	char name[IFNAMSIZ] = "";

	memcpy(name, match->iface, len);
	put_meta(message, match->field == NFT_FIELD_IIF ? NFT_META_IIFNAME : NFT_META_OIFNAME);
	put_compare(message, NFT_CMP_EQ, name, match->iface_prefix ? len - 1 : sizeof(name));
}

static void put_syn(struct nlmsghdr *message, enum op op)
{
	static const uint8_t mask = TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK, syn = TCP_SYN;

	put_payload(message, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, sizeof(mask));
	put_mask(message, &mask, sizeof(mask));
	put_compare(message, op == OP_NOT ? NFT_CMP_NEQ : NFT_CMP_EQ, &syn, sizeof(syn));
}

static void put_local(struct nlmsghdr *message)
{
	static const uint32_t local = RTN_LOCAL;
	const struct expression e = begin(message, "fib");

	put_register(message, NFTA_FIB_DREG);
	nft_put_be32(message, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nft_put_be32(message, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end(&e);
	put_compare(message, NFT_CMP_EQ, &local, sizeof(local));
}

/* One ID is compared as the kernel has it; an order among them shows in network order alone. */
static void put_uid(struct nlmsghdr *message, const struct nft_match *match)
{
	uint32_t uid = nft_number(NFT_TYPE_UID, match->value.lo);

	put_meta(message, NFT_META_SKUID);
	if (!match->set && memcmp(match->value.lo, match->value.hi, sizeof(uid)) == 0) {
		put_compare(message, NFT_CMP_EQ, &uid, sizeof(uid));
		return;
	}
	put_network_order(message);
	put_operand(message, match, sizeof(uid));
}

static void put_invalid(struct nlmsghdr *message)
{
	static const uint32_t zero, invalid = NF_CT_STATE_INVALID_BIT;
	const struct expression e = begin(message, "ct");

	put_register(message, NFTA_CT_DREG);
	nft_put_be32(message, NFTA_CT_KEY, NFT_CT_STATE);
	end(&e);
	put_mask(message, &invalid, sizeof(invalid));
	put_compare(message, NFT_CMP_NEQ, &zero, sizeof(zero));
}

static void put_match(struct nlmsghdr *message, enum family family, const struct nft_match *match)
{
	static const uint32_t src[FAMILY_COUNT] = { 12, 8 }, dst[FAMILY_COUNT] = { 16, 24 };
	static const uint32_t original[FAMILY_COUNT] = { NFT_CT_DST_IP, NFT_CT_DST_IP6 };
	size_t size = nft_type_size(NFT_TYPE_ADDRESS, family);

	switch (match->field) {
	case NFT_FIELD_IIF:
	case NFT_FIELD_OIF:
		put_iface(message, match);
		break;
	case NFT_FIELD_SRC:
	case NFT_FIELD_DST:
		put_payload(message, NFT_PAYLOAD_NETWORK_HEADER,
			    (match->field == NFT_FIELD_SRC ? src : dst)[family], (uint32_t)size);
		put_operand(message, match, size);
		break;
	case NFT_FIELD_PROTO:
		put_meta(message, NFT_META_L4PROTO);
		put_operand(message, match, sizeof(uint8_t));
		break;
	case NFT_FIELD_SPORT:
	case NFT_FIELD_DPORT:
		put_payload(message, NFT_PAYLOAD_TRANSPORT_HEADER,
			    match->field == NFT_FIELD_SPORT ? 0 : 2, sizeof(uint16_t));
		put_operand(message, match, sizeof(uint16_t));
		break;
	case NFT_FIELD_SYN:
		put_syn(message, match->op);
		break;
	case NFT_FIELD_LOCAL:
		put_local(message);
		break;
	case NFT_FIELD_UID:
		put_uid(message, match);
		break;
	case NFT_FIELD_INVALID:
		put_invalid(message);
		break;
	case NFT_FIELD_ORIG_DST:
		put_original(message, original[family]);
		put_operand(message, match, size);
		break;
	case NFT_FIELD_ORIG_DPORT:
		put_original(message, NFT_CT_PROTO_DST);
		put_operand(message, match, sizeof(uint16_t));
		break;
	case NFT_FIELD_COUNT:
		break;
	}
}

static void put_verdict(struct nlmsghdr *message, int code, const char *chain)
{
	const struct expression e = begin(message, "immediate");
	struct nlattr *data, *verdict;

	nft_put_be32(message, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = mnl_attr_nest_start(message, NFTA_IMMEDIATE_DATA);
	verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
	nft_put_be32(message, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(message, verdict);
	mnl_attr_nest_end(message, data);
	end(&e);
}

static void put_number(struct nlmsghdr *message, uint16_t value)
{
	const struct expression e = begin(message, "immediate");

	put_register(message, NFTA_IMMEDIATE_DREG);
	put_data(message, NFTA_IMMEDIATE_DATA, &value, sizeof(value));
	end(&e);
}

static void put_redirect(struct nlmsghdr *message, uint16_t port)
{
	put_number(message, htons(port));
	const struct expression e = begin(message, "redir");
	put_register(message, NFTA_REDIR_REG_PROTO_MIN);
	nft_put_be32(message, NFTA_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	end(&e);
}

static void put_dnat(struct nlmsghdr *message, enum family family, uint16_t port)
{
	put_number(message, htons(port));
	const struct expression e = begin(message, "nat");
	nft_put_be32(message, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	nft_put_be32(message, NFTA_NAT_FAMILY, family == FAMILY_V4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	put_register(message, NFTA_NAT_REG_PROTO_MIN);
	nft_put_be32(message, NFTA_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	end(&e);
}

static void put_zone(struct nlmsghdr *message, uint16_t zone)
{
	put_number(message, zone);
	const struct expression e = begin(message, "ct");
	nft_put_be32(message, NFTA_CT_KEY, NFT_CT_ZONE);
	put_register(message, NFTA_CT_SREG);
	end(&e);
}

static void put_log(struct nlmsghdr *message, const char *prefix, uint16_t level)
{
	const struct expression e = begin(message, "log");

	mnl_attr_put_strz(message, NFTA_LOG_PREFIX, prefix);
	nft_put_be32(message, NFTA_LOG_LEVEL, level);
	end(&e);
}

static void put_reject(struct nlmsghdr *message)
{
	const struct expression e = begin(message, "reject");

	nft_put_be32(message, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
	end(&e);
}

static void put_action(struct nlmsghdr *message, enum family family, const struct nft_rule *rule)
{
	switch (rule->action) {
	case NFT_ACTION_RETURN:
		put_verdict(message, NFT_RETURN, NULL);
		break;
	case NFT_ACTION_ACCEPT:
		put_verdict(message, NF_ACCEPT, NULL);
		break;
	case NFT_ACTION_DROP:
		put_verdict(message, NF_DROP, NULL);
		break;
	case NFT_ACTION_JUMP:
		put_verdict(message, NFT_JUMP, rule->text);
		break;
	case NFT_ACTION_GOTO:
		put_verdict(message, NFT_GOTO, rule->text);
		break;
	case NFT_ACTION_REDIRECT:
		put_redirect(message, rule->number);
		break;
	case NFT_ACTION_DNAT:
		put_dnat(message, family, rule->number);
		break;
	case NFT_ACTION_CT_ZONE:
		put_zone(message, rule->number);
		break;
	case NFT_ACTION_LOG:
		put_log(message, rule->text, rule->number);
		break;
	case NFT_ACTION_REJECT:
		put_reject(message);
		break;
	case NFT_ACTION_NONE:
	case NFT_ACTION_COUNT:
		break;
	}
}

void nft_put_rule(struct nlmsghdr *message, enum family family, const struct nft_rule *rule)
{
	struct nlattr *list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS);
	unsigned char comment[2 + NFT_COMMENT_MAX + 1] = { UDATA_COMMENT };

	for (size_t i = 0; i < rule->n; i++)
		put_match(message, family, &rule->items[i]);
	if (rule->counter) {
		const struct expression e = begin(message, "counter");

		end(&e);
	}
	put_action(message, family, rule);
	mnl_attr_nest_end(message, list);
	if (!rule->comment)
		return;
	size_t len = strnlen(rule->comment, NFT_COMMENT_MAX);
	comment[1] = (unsigned char)(len + 1);
	memcpy(comment + 2, rule->comment, len);
	mnl_attr_put(message, NFTA_RULE_USERDATA, 2 + len + 1, comment);
}
