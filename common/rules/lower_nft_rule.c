/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/lower_nft_rule.h"

#include <string.h>

#include "common/base/array.h"
#include "common/base/utf8.h"

/* A copy of the intervals as a set that the table has once. Its name counts those of its type. */
static const struct nft_set *add_set(struct lower *l, enum nft_type type,
				     const struct nft_interval *items, size_t n)
{
	static const char *const names[NFT_TYPE_COUNT] = { "ports", "uids", "networks" };
	size_t number = 1;
	struct nft_set *set;

	for (size_t i = 0; i < l->ret->sets.n; i++) {
		set = l->ret->sets.items[i];
		if (set->type != type)
			continue;
		if (set->n == n && memcmp(set->items, items, n * sizeof(*items)) == 0)
			return set;
		number++;
	}
	set = arena_alloc(l->arena, sizeof(*set));
	if (!set)
		return NULL;
	*set = (struct nft_set){
		.name = arena_printf(l->arena, "%s%zu", names[type], number),
		.type = type,
		.items = arena_alloc(l->arena, n * sizeof(*items)),
		.n = n,
	};
	if (set->items)
		memcpy(set->items, items, n * sizeof(*items));
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers */
	array_push(l->arena, &l->ret->sets, set);
	return set;
}

const struct nft_set *lower_set(struct lower *l, enum nft_type type, struct nft_interval *items,
				size_t n)
{
	return add_set(l, type, items,
		       nft_intervals_join(items, n, nft_type_size(type, l->family)));
}

const struct nft_set *lower_port_set(struct lower *l, const struct port_range *ranges, size_t n)
{
	struct nft_interval *items = arena_alloc(l->arena, n * sizeof(*items));

	for (size_t i = 0; i < n && items; i++)
		items[i] = nft_interval_ports(ranges[i].lo, ranges[i].hi);
	return items ? lower_set(l, NFT_TYPE_PORT, items, n) : NULL;
}

static bool match_iface(const char *iface, struct nft_match *ret)
{
	size_t len = iface ? strlen(iface) : 0;

	ret->iface = iface;
	ret->iface_prefix = len > 0 && iface[len - 1] == '+';
	return len > 1 || (len == 1 && !ret->iface_prefix);
}

/* All addresses are none that has to be asked for. */
static bool match_net(const struct match_net *net, struct nft_match *ret)
{
	ret->op = net->op;
	ret->value = nft_interval_prefix(&net->net);
	return net->op == OP_NOT || (net->op == OP_IS && net->net.len > 0);
}

static bool match_ports(uint16_t lo, uint16_t hi, struct nft_match *ret)
{
	ret->value = nft_interval_ports(lo, hi);
	return hi != 0;
}

/* Whether the rule asks for the field, and how. */
static bool match_field(const struct rule *rule, struct nft_match *ret)
{
	switch (ret->field) {
	case NFT_FIELD_IIF:
		return match_iface(rule->iif, ret);
	case NFT_FIELD_OIF:
		return match_iface(rule->oif, ret);
	case NFT_FIELD_SRC:
		return match_net(&rule->src, ret);
	case NFT_FIELD_DST:
		return match_net(&rule->dst, ret);
	case NFT_FIELD_PROTO:
		ret->value.lo[0] = ret->value.hi[0] = rule->proto;
		return rule->proto != 0;
	case NFT_FIELD_SPORT:
		return match_ports(rule->sport, rule->sport, ret);
	case NFT_FIELD_DPORT:
		if (rule->multiport.n == 1)
			return match_ports(rule->multiport.ranges[0].lo,
					   rule->multiport.ranges[0].hi, ret);
		return match_ports(rule->dport, rule->dport, ret);
	case NFT_FIELD_SYN:
		ret->op = rule->syn;
		return rule->syn != OP_ANY;
	case NFT_FIELD_LOCAL:
		return rule->local_dst;
	case NFT_FIELD_UID:
		ret->value = nft_interval_uids(rule->uid.lo, rule->uid.hi);
		return rule->uid.op != OP_ANY;
	case NFT_FIELD_INVALID:
		return rule->ctstate_invalid;
	case NFT_FIELD_ORIG_DST:
		return match_net(&rule->orig_dst, ret);
	case NFT_FIELD_ORIG_DPORT:
		return match_ports(rule->orig_dport, rule->orig_dport, ret);
	case NFT_FIELD_COUNT:
		break;
	}
	return false;
}

void lower_matches(struct lower *l, const struct rule *rule, const struct lower_sets *sets,
		   struct nft_rule *ret)
{
	struct lower_sets all = *sets;

	if (rule->multiport.n > 1)
		all.of[NFT_FIELD_DPORT] =
			lower_port_set(l, rule->multiport.ranges, rule->multiport.n);
	for (enum nft_field field = 0; field < NFT_FIELD_COUNT; field++) {
		struct nft_match match = { .field = field, .op = OP_IS, .set = all.of[field] };

		if (match.set || match_field(rule, &match))
			array_push(l->arena, ret, match);
	}
}

bool lower_never(const struct rule *rule)
{
	const struct match_net *const nets[] = { &rule->src, &rule->dst, &rule->orig_dst };

	for (size_t i = 0; i < ELEMENTS(nets); i++)
		if (nets[i]->op == OP_NOT && nets[i]->net.len == 0)
			return true;
	return false;
}

const char *lower_comment(struct arena *arena, const char *text)
{
	_strbuf_ struct strbuf clean = { 0 };
	size_t len;

	utf8_add_clean(&clean, text, strlen(text));
	if (clean.failed) {
		arena->failed = true;
		return NULL;
	}
	for (char *c = clean.text; c && (c = strchr(c, '"'));)
		*c = '\'';
	len = clean.len > NFT_COMMENT_MAX ? utf8_cut(clean.text, NFT_COMMENT_MAX) : clean.len;
	return arena_strndup(arena, strbuf_text(&clean), len);
}
