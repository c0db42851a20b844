/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include "common/base/array.h"
#include "daemon/firewall/firewall.h"
#include "daemon/firewall/registers.h"

#define LOOPBACK_INDEX 1
#define STATE_NEW      NF_CT_STATE_BIT(IP_CT_NEW)

static uint16_t net_port(struct nft_payload value)
{
	uint16_t port;

	if (value.len < sizeof(port))
		return 0;
	memcpy(&port, value.data, sizeof(port));
	return ntohs(port);
}

static struct filter_ports *which_ports(struct state *s, enum kind kind)
{
	return kind == KIND_PORT ? &s->rule.port : &s->rule.original;
}

static void add_range(struct state *s, enum kind kind, struct filter_range range, bool negated)
{
	struct filter_range_list ranges = { 0 };

	array_push(s->reader->arena, &ranges, range);
	host_firewall_ports(&s->rule, which_ports(s, kind), &ranges, negated);
}

/* Whether a value that is known of the packet of interest compares so. */
static void compare_known(struct state *s, bool equal, uint32_t op)
{
	if (op == NFT_CMP_EQ)
		s->rule.never |= !equal;
	else if (op == NFT_CMP_NEQ)
		s->rule.never |= equal;
	else
		s->rule.partly = true;
}

static void compare_status(struct state *s, const struct loaded_value *value, uint32_t op,
			   uint32_t with)
{
	/* A new connection has no other status that rules ask for. */
	if (!(value->mask & IPS_DST_NAT)) {
		s->rule.partly = true;
		return;
	}
	if (value->mask == UINT32_MAX || (with != 0 && with != IPS_DST_NAT)) {
		s->rule.partly = true;
		return;
	}
	if ((with != 0) == (op == NFT_CMP_EQ))
		s->rule.redirected_only = true;
	else
		s->rule.redirected_never = true;
}

static bool is_loopback_name(struct nft_payload value)
{
	return value.len >= 3 && memcmp(value.data, "lo", 3) == 0;
}

static void compare(struct state *s, const struct loaded_value *value, uint32_t op,
		    struct nft_payload with)
{
	unsigned family;

	if (!with.data || with.len == 0) {
		s->rule.partly = true;
		return;
	}
	switch (value->kind) {
	case KIND_FAMILY:
		family = with.data[0] == NFPROTO_IPV6 ? FAMILY_V6 : FAMILY_V4;
		if (op == NFT_CMP_EQ)
			s->rule.not_for[1 - family] = true;
		else
			s->rule.not_for[family] = true;
		return;
	case KIND_PROTOCOL:
		compare_known(s, with.data[0] == IPPROTO_TCP, op);
		return;
	case KIND_PORT:
	case KIND_ORIGINAL_PORT:
		host_firewall_compare(s->reader->arena, &s->rule, which_ports(s, value->kind), op,
				      net_port(with));
		return;
	case KIND_STATE:
		compare_known(s, (STATE_NEW & value->mask) == host_word(with), op);
		return;
	case KIND_STATUS:
		compare_status(s, value, op, host_word(with));
		return;
	case KIND_IN_NAME:
		if (is_loopback_name(with))
			compare_known(s, false, op);
		else
			s->rule.partly = true;
		return;
	case KIND_IN_INDEX:
		if (host_word(with) == LOOPBACK_INDEX)
			compare_known(s, false, op);
		else
			s->rule.partly = true;
		return;
	case KIND_OTHER:
		break;
	}
	s->rule.partly = true;
}

static void on_cmp(struct state *s, struct nft_payload data)
{
	struct loaded_value *value = register_at(s, nft_number(data, NFTA_CMP_SREG, UINT32_MAX));

	compare(s, value, nft_number(data, NFTA_CMP_OP, UINT32_MAX),
		nft_attribute(nft_attribute(data, NFTA_CMP_DATA), NFTA_DATA_VALUE));
}

static void on_range(struct state *s, struct nft_payload data)
{
	struct loaded_value *value = register_at(s, nft_number(data, NFTA_RANGE_SREG, UINT32_MAX));
	struct nft_payload from =
		nft_attribute(nft_attribute(data, NFTA_RANGE_FROM_DATA), NFTA_DATA_VALUE);
	struct nft_payload to =
		nft_attribute(nft_attribute(data, NFTA_RANGE_TO_DATA), NFTA_DATA_VALUE);

	if (value->kind != KIND_PORT && value->kind != KIND_ORIGINAL_PORT)
		s->rule.partly = true;
	else
		add_range(s, value->kind, (struct filter_range){ net_port(from), net_port(to) },
			  nft_number(data, NFTA_RANGE_OP, NFT_RANGE_EQ) == NFT_RANGE_NEQ);
}

/* Writes the verdict of a rule, or of an element of a map, into the rule. */
static void read_verdict(struct state *s, struct nft_payload verdict, struct filter_rule *rule)
{
	uint32_t code = nft_number(verdict, NFTA_VERDICT_CODE, (uint32_t)NFT_CONTINUE);

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
		rule->target =
			s->reader->find_chain(s->reader, nft_text(verdict, NFTA_VERDICT_CHAIN));
		return;
	default:
		return;
	}
}

static void emit(struct state *s, const struct filter_rule *rule)
{
	if (!rule->never)
		array_push(s->reader->arena, s->reader->chain, *rule);
}

/* A rule per element of a verdict map. The expressions behind it are of no interest: nothing but a
 * map without the value lets a packet come there. */
static void emit_element(struct state *s, enum kind kind, const struct nft_element *element,
			 const struct filter_range *range)
{
	struct state one = *s;

	if (kind == KIND_PORT || kind == KIND_ORIGINAL_PORT)
		add_range(&one, kind, *range, false);
	else
		compare(&one, &(struct loaded_value){ kind, UINT32_MAX }, NFT_CMP_EQ, element->key);
	read_verdict(&one, element->verdict, &one.rule);
	emit(&one, &one.rule);
}

static void look_up_verdict(struct state *s, enum kind kind, const struct nft_elements *elements)
{
	for (size_t i = 0; i < elements->n; i++) {
		struct filter_range range;

		if (elements->items[i].interval_end)
			continue;
		range = host_firewall_range(elements, i);
		emit_element(s, kind, &elements->items[i], &range);
	}
}

/* Whether one of the values is that of the packet of interest. */
static bool holds(struct state *s, const struct loaded_value *value,
		  const struct nft_elements *elements)
{
	for (size_t i = 0; i < elements->n; i++) {
		struct state one = *s;

		one.rule = (struct filter_rule){ 0 };
		compare(&one, value, NFT_CMP_EQ, elements->items[i].key);
		if (!one.rule.never)
			return true;
	}
	return false;
}

static void look_up(struct state *s, const struct loaded_value *value, bool inverted,
		    const struct nft_elements *elements)
{
	struct filter_range_list ranges = { 0 };

	switch (value->kind) {
	case KIND_PORT:
	case KIND_ORIGINAL_PORT:
		for (size_t i = 0; i < elements->n; i++)
			if (!elements->items[i].interval_end)
				array_push(s->reader->arena, &ranges,
					   host_firewall_range(elements, i));
		host_firewall_ports(&s->rule, which_ports(s, value->kind), &ranges, inverted);
		return;
	case KIND_PROTOCOL:
	case KIND_STATE:
		compare_known(s, holds(s, value, elements), inverted ? NFT_CMP_NEQ : NFT_CMP_EQ);
		return;
	case KIND_IN_NAME:
	case KIND_IN_INDEX:
		if (!holds(s, value, elements)) /* nothing but the loopback interface */
			compare_known(s, false, inverted ? NFT_CMP_NEQ : NFT_CMP_EQ);
		else
			s->rule.partly = true;
		return;
	case KIND_FAMILY:
	case KIND_STATUS:
	case KIND_OTHER:
		break;
	}
	s->rule.partly = true;
}

static void on_lookup(struct state *s, struct nft_payload data)
{
	struct loaded_value value = *register_at(s, nft_number(data, NFTA_LOOKUP_SREG, UINT32_MAX));
	bool map = nft_attribute(data, NFTA_LOOKUP_DREG).data;
	bool verdicts = map && nft_number(data, NFTA_LOOKUP_DREG, 0) == NFT_REG_VERDICT;
	struct nft_set set = { s->reader->family, s->reader->table,
			       nft_text(data, NFTA_LOOKUP_SET) };
	struct nft_elements elements = { 0 };

	if (map && !verdicts) {
		register_load(s, nft_number(data, NFTA_LOOKUP_DREG, 0), KIND_OTHER);
		return;
	}
	/* Sets of addresses may be large, and nothing is known of the client's. */
	if ((value.kind == KIND_OTHER && !verdicts) ||
	    host_firewall_elements(s->reader->arena, s->reader->fd, &set, &elements) < 0) {
		s->rule.partly = true;
		return;
	}
	if (verdicts)
		look_up_verdict(s, value.kind, &elements);
	else
		look_up(s, &value, nft_number(data, NFTA_LOOKUP_FLAGS, 0) & NFT_LOOKUP_F_INV,
			&elements);
}

static void on_immediate(struct state *s, struct nft_payload data)
{
	struct nft_payload value = nft_attribute(data, NFTA_IMMEDIATE_DATA);

	if (nft_number(data, NFTA_IMMEDIATE_DREG, UINT32_MAX) == NFT_REG_VERDICT)
		read_verdict(s, nft_attribute(value, NFTA_DATA_VERDICT), &s->rule);
	else
		register_load(s, nft_number(data, NFTA_IMMEDIATE_DREG, UINT32_MAX), KIND_OTHER);
}

static void on_reject(struct state *s, struct nft_payload data _unused_)
{
	s->rule.verdict = FILTER_DROP;
}

static void on_match(struct state *s, struct nft_payload data)
{
	struct nft_payload info = nft_attribute(data, NFTA_MATCH_INFO);
	const struct xt_info match = {
		.name = nft_text(data, NFTA_MATCH_NAME),
		.revision = nft_number(data, NFTA_MATCH_REV, 0),
		.data = info.data ? info.data : "",
		.len = info.len,
	};

	host_firewall_match(s->reader->arena, &match, &s->rule);
}

static void on_target(struct state *s, struct nft_payload data)
{
	s->rule.verdict = host_firewall_target(nft_text(data, NFTA_TARGET_NAME));
}

static void on_nothing(struct state *s _unused_, struct nft_payload data _unused_)
{
}

static const struct expression {
	const char *name;
	void (*read)(struct state *s, struct nft_payload data);
} expressions[] = {
	{ "bitwise", register_on_bitwise },
	{ "cmp", on_cmp },
	{ "counter", on_nothing },
	{ "ct", register_on_ct },
	{ "immediate", on_immediate },
	{ "log", on_nothing },
	{ "lookup", on_lookup },
	{ "match", on_match },
	{ "meta", register_on_meta },
	{ "notrack", on_nothing },
	{ "objref", on_nothing },
	{ "payload", register_on_payload },
	{ "range", on_range },
	{ "reject", on_reject },
	{ "target", on_target },
};

static void read_expression(struct state *s, struct nft_payload item)
{
	const char *name = nft_text(item, NFTA_EXPR_NAME);

	for (size_t i = 0; i < ELEMENTS(expressions); i++) {
		if (strcmp(name, expressions[i].name) == 0) {
			expressions[i].read(s, nft_attribute(item, NFTA_EXPR_DATA));
			return;
		}
	}
	s->rule.partly = true;
}

void host_firewall_expressions(struct nft_rule_reader *reader, const char *name,
			       struct nft_payload list)
{
	struct state s = { .reader = reader, .rule = { .name = name } };
	struct nft_payload item;

	while (nft_next(&list, &item))
		read_expression(&s, item);
	emit(&s, &s.rule);
}
