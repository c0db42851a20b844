/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The plan as rules, at one level: family -> table -> chain -> rules, in the generation's arena,
 * immutable. Built by ruleset_build(), which calls raw.c, nat.c and filter.c.
 */

#include "common/plan/level.h"
#include "common/plan/plan.h"
#include "common/rules/rule.h"

struct chain {
	const char *name;
	bool builtin;
	struct rule *rules;
	size_t n;
};

struct table_rules {
	/* built-in ones in hook order, then ours in the order they are created */
	struct chain *chains;
	size_t n;
};

struct family_rules {
	bool enabled;
	struct table_rules table[TABLE_COUNT];
};

struct ruleset {
	enum level level;
	bool verbose;     /* how print_restore() spells them */
	bool loopback_v6; /* ::6/128 on the loopback interface is wanted */
	const char *loopback;
	struct family_rules family[FAMILY_COUNT];
};

const char *table_name(enum table table);

/* Builds the rules of one level. Failure of the arena shows in arena->failed. */
void ruleset_build(struct arena *arena, const struct plan *plan, enum level level,
		   struct ruleset *ret);

/* Calls visit for every expanded rule of a chain, in the order of the text. A visit that returns
 * non-zero ends the walk, and its value is returned. */
typedef int rule_visit_t(const struct rule *rule, const struct rule_text *text, void *userdata);
int chain_visit(const struct chain *chain, rule_visit_t *visit, void *userdata);

/* The same in the order of the kernel: in a built-in chain what is inserted stands before what is
 * appended, whichever the text states first. */
int chain_visit_placed(const struct chain *chain, rule_visit_t *visit, void *userdata);

/* The end of the rules from `first` on that go over one list together, each element in turn; at
 * least the first itself. */
size_t chain_loop_end(const struct chain *chain, size_t first);
