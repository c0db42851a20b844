/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/ruleset.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/strbuf.h"
#include "common/rules/build.h"
#include "common/rules/encode_xt.h"

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

struct placed {
	enum position position;
	rule_visit_t *visit;
	void *userdata;
};

static int on_placed(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	const struct placed *p = userdata;

	return rule->position == p->position ? p->visit(rule, text, p->userdata) : 0;
}

int chain_visit_placed(const struct chain *chain, rule_visit_t *visit, void *userdata)
{
	struct placed inserted = { POSITION_INSERT, visit, userdata };
	struct placed appended = { POSITION_APPEND, visit, userdata };
	int r;

	if (!chain->builtin)
		return chain_visit(chain, visit, userdata);
	r = chain_visit(chain, on_placed, &inserted);
	return r ? r : chain_visit(chain, on_placed, &appended);
}

/* Rules as the kernel would have them, one behind the other. */
struct image {
	enum family family;
	struct xt_blob rule;
	struct strbuf bytes;
	struct error err;
};

static int add_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct image *image = userdata;
	int r = encode_xt(rule, text, image->family, &image->rule, &image->err);

	if (r < 0)
		return r;
	strbuf_addc(&image->bytes, rule->position == POSITION_INSERT ? 'I' : 'A');
	strbuf_add_len(&image->bytes, (const char *)image->rule.data, image->rule.len);
	return 0;
}

/* Fails for rules that cannot be encoded: they are equal to none. */
static bool add_table(struct image *image, const struct table_rules *table)
{
	for (size_t i = 0; i < table->n; i++) {
		strbuf_addf(&image->bytes, "%s %d\n", table->chains[i].name,
			    table->chains[i].builtin);
		if (chain_visit(&table->chains[i], add_rule, image) != 0)
			return false;
	}
	strbuf_addc(&image->bytes, '\n');
	return true;
}

static bool add_all(struct image *image, const struct ruleset *rules)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		image->family = f;
		strbuf_addc(&image->bytes, rules->family[f].enabled ? '+' : '-');
		for (enum table t = 0; t < TABLE_COUNT; t++)
			if (!add_table(image, &rules->family[f].table[t]))
				return false;
	}
	/* Where the address goes counts only while there is one. */
	strbuf_add(&image->bytes, rules->loopback_v6 ? rules->loopback : "");
	return !image->bytes.failed;
}

static void image_done(struct image *image)
{
	strbuf_done(&image->bytes);
}

bool ruleset_equal(const struct ruleset *a, const struct ruleset *b)
{
	_cleanup_(image_done) struct image of_a = { 0 }, of_b = { 0 };

	return add_all(&of_a, a) && add_all(&of_b, b) && of_a.bytes.len == of_b.bytes.len &&
	       memcmp(of_a.bytes.text, of_b.bytes.text, of_a.bytes.len) == 0;
}
