/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/ruleset.h"

#include "common/rules/build.h"

const char *table_name(enum table table)
{
	static const char *const names[TABLE_COUNT] = {
		[TABLE_RAW] = "raw",
		[TABLE_NAT] = "nat",
		[TABLE_MANGLE] = "mangle",
		[TABLE_FILTER] = "filter",
	};

	return names[table];
}

static void build_mangle(struct build *b)
{
	if (b->level >= LEVEL_NO_DNS && b->f->drop_invalid)
		RULE(b, build_chain(b, "PREROUTING", true),
		     "drop packets in the INVALID state to prevent potential issues with "
		     "malformed or out-of-order packets",
		     .ctstate_invalid = true, .verdict = { .kind = VERDICT_DROP });
}

static void build_family(struct arena *arena, const struct plan *plan, enum level level,
			 enum family family, struct family_rules *ret)
{
	static void (*const build[TABLE_COUNT])(struct build * b) = {
		[TABLE_RAW] = build_raw,
		[TABLE_NAT] = build_nat,
		[TABLE_MANGLE] = build_mangle,
		[TABLE_FILTER] = build_filter,
	};
	struct build b = {
		.arena = arena,
		.plan = plan,
		.level = level,
		.family = family,
		.f = &plan->family[family],
		.proxy = { OP_IS, plan->user.uid, plan->user.uid, NULL },
		.others = { OP_NOT, plan->user.uid, plan->user.uid, NULL },
	};

	ret->enabled = b.f->enabled || b.f->strict;
	for (enum table table = 0; table < TABLE_COUNT; table++) {
		b.table = &ret->table[table];
		/* What is not redirected may have to be closed. */
		if (b.f->enabled || table == TABLE_FILTER)
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

size_t chain_loop_end(const struct chain *chain, size_t first)
{
	const struct each *each = &chain->rules[first].each;
	size_t end = first + 1;

	while (each->kind != EACH_NONE && end < chain->n &&
	       chain->rules[end].each.items == each->items && chain->rules[end].each.n == each->n)
		end++;
	return end;
}

/* Visits the rules whose position is in the mask. */
static int visit_some(const struct chain *chain, unsigned positions, rule_visit_t *visit,
		      void *userdata)
{
	for (size_t first = 0, end; first < chain->n; first = end) {
		size_t turns = rule_count(&chain->rules[first]);

		end = chain_loop_end(chain, first);
		for (size_t turn = 0; turn < turns; turn++) {
			for (size_t i = first; i < end; i++) {
				struct rule_text text;
				struct rule rule;
				int r;

				if (!(positions & 1U << chain->rules[i].position) ||
				    !rule_at(&chain->rules[i], turn, &rule, &text))
					continue;
				r = visit(&rule, &text, userdata);
				if (r != 0)
					return r;
			}
		}
	}
	return 0;
}

int chain_visit(const struct chain *chain, rule_visit_t *visit, void *userdata)
{
	return visit_some(chain, ~0U, visit, userdata);
}

int chain_visit_placed(const struct chain *chain, rule_visit_t *visit, void *userdata)
{
	int r;

	if (!chain->builtin)
		return chain_visit(chain, visit, userdata);
	r = visit_some(chain, 1U << POSITION_INSERT, visit, userdata);
	return r ? r : visit_some(chain, 1U << POSITION_APPEND, visit, userdata);
}
