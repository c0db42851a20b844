/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/ruleset.h"

#include <string.h>

#include "common/rules/build.h"

const char *table_name(enum table table)
{
	switch (table) {
	case TABLE_RAW:
		return "raw";
	case TABLE_NAT:
		return "nat";
	case TABLE_MANGLE:
		return "mangle";
	case TABLE_COUNT:
		break;
	}
	return "?";
}

static void build_family(struct arena *arena, const struct plan *plan, enum level level,
			 enum family family, struct family_rules *ret)
{
	static void (*const build[TABLE_COUNT])(struct build * b) = {
		[TABLE_RAW] = build_raw,
		[TABLE_NAT] = build_nat,
		[TABLE_MANGLE] = build_mangle,
	};
	struct build b = {
		.arena = arena,
		.plan = plan,
		.level = level,
		.family = family,
		.f = &plan->family[family],
	};

	ret->enabled = b.f->enabled;
	if (!ret->enabled)
		return;
	for (enum table table = 0; table < TABLE_COUNT; table++) {
		b.table = &ret->table[table];
		build[table](&b);
	}
}

void ruleset_build(struct arena *arena, const struct plan *plan, enum level level,
		   struct ruleset *ret)
{
	*ret = (struct ruleset){
		.level = level,
		.comments = plan->comments,
		.verbose = plan->verbose,
		.loopback_v6 = plan->family[FAMILY_V6].enabled && level != LEVEL_NONE,
		.loopback = plan->loopback,
	};
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		build_family(arena, plan, level, family, &ret->family[family]);
}

/* The rules after `first` that go over the same list, as far as they follow one another; at least
 * the first itself. */
static size_t loop_end(const struct chain *chain, size_t first)
{
	const struct each *each = &chain->rules[first].each;
	size_t end = first + 1;

	while (each->kind != EACH_NONE && end < chain->n &&
	       chain->rules[end].each.kind != EACH_NONE &&
	       chain->rules[end].each.items == each->items && chain->rules[end].each.n == each->n)
		end++;
	return end;
}

int chain_visit(const struct chain *chain, rule_visit_t *visit, void *userdata)
{
	for (size_t first = 0, end; first < chain->n; first = end) {
		size_t turns = rule_count(&chain->rules[first]);

		end = loop_end(chain, first);
		for (size_t turn = 0; turn < turns; turn++) {
			for (size_t i = first; i < end; i++) {
				struct rule_text text;
				struct rule rule;
				int r;

				if (!rule_at(&chain->rules[i], turn, &rule, &text))
					continue;
				r = visit(&rule, &text, userdata);
				if (r != 0)
					return r;
			}
		}
	}
	return 0;
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* By what they match: 10.0.0.1/8 is 10.0.0.0/8. */
static bool net_equal(const struct match_net *a, const struct match_net *b)
{
	struct ip_prefix net_a = ip_prefix_masked(&a->net);
	struct ip_prefix net_b = ip_prefix_masked(&b->net);

	return a->op == b->op &&
	       (a->op == OP_ANY || (net_a.len == net_b.len && ip_equal(&net_a.addr, &net_b.addr)));
}

static bool iface_equal(const struct match_iface *a, const struct match_iface *b)
{
	return a->op == b->op && (a->op == OP_ANY || text_equal(a->name, b->name));
}

static bool port_equal(const struct match_port *a, const struct match_port *b)
{
	return a->op == b->op && a->port == b->port;
}

static bool multiport_equal(const struct match_multiport *a, const struct match_multiport *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (a->ranges[i].lo != b->ranges[i].lo || a->ranges[i].hi != b->ranges[i].hi)
			return false;
	}
	return true;
}

static bool uid_equal(const struct match_uid *a, const struct match_uid *b)
{
	return a->op == b->op && a->lo == b->lo && a->hi == b->hi;
}

static bool verdict_equal(const struct verdict *a, const struct verdict *b)
{
	return a->kind == b->kind && a->number == b->number && text_equal(a->text, b->text);
}

/* Two rules that stand for themselves alone. udp_match is left out: a match on ports implies it. */
static bool expanded_equal(const struct rule *a, const struct rule *b)
{
	return a->position == b->position && a->proto == b->proto &&
	       iface_equal(&a->iif, &b->iif) && iface_equal(&a->oif, &b->oif) &&
	       net_equal(&a->src, &b->src) && net_equal(&a->dst, &b->dst) &&
	       port_equal(&a->sport, &b->sport) && port_equal(&a->dport, &b->dport) &&
	       multiport_equal(&a->multiport, &b->multiport) && uid_equal(&a->uid, &b->uid) &&
	       a->ctstate_invalid == b->ctstate_invalid && a->not_syn == b->not_syn &&
	       verdict_equal(&a->verdict, &b->verdict);
}

static bool rule_equal(const struct rule *a, const struct rule *b)
{
	size_t n = rule_count(a);

	if (a->each.kind != b->each.kind || n != rule_count(b))
		return false;
	for (size_t i = 0; i < n; i++) {
		struct rule_text text_a, text_b;
		struct rule rule_a, rule_b;
		bool is_a = rule_at(a, i, &rule_a, &text_a);
		bool is_b = rule_at(b, i, &rule_b, &text_b);

		if (is_a != is_b)
			return false;
		if (is_a && (!expanded_equal(&rule_a, &rule_b) ||
			     strcmp(text_a.comment, text_b.comment) != 0))
			return false;
	}
	return true;
}

static bool chain_equal(const struct chain *a, const struct chain *b)
{
	if (a->n != b->n || a->builtin != b->builtin || !text_equal(a->name, b->name))
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!rule_equal(&a->rules[i], &b->rules[i]))
			return false;
	}
	return true;
}

static bool table_equal(const struct table_rules *a, const struct table_rules *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!chain_equal(&a->chains[i], &b->chains[i]))
			return false;
	}
	return true;
}

bool ruleset_equal(const struct ruleset *a, const struct ruleset *b)
{
	/* Where the address goes counts only while there is one. */
	if (a->loopback_v6 != b->loopback_v6 ||
	    (a->loopback_v6 && !text_equal(a->loopback, b->loopback)))
		return false;
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct family_rules *of_a = &a->family[family];
		const struct family_rules *of_b = &b->family[family];

		if (of_a->enabled != of_b->enabled)
			return false;
		for (enum table table = 0; table < TABLE_COUNT; table++) {
			if (!table_equal(&of_a->table[table], &of_b->table[table]))
				return false;
		}
	}
	return true;
}
