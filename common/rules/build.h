/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For raw.c, nat.c, filter.c and ruleset.c only: how a table is filled. */

#include <netinet/in.h>

#include "common/rules/ruleset.h"

struct build {
	struct arena *arena;
	const struct plan *plan;
	enum level level;
	enum family family;
	const struct plan_family *f;
	struct match_uid proxy, others; /* kuma-dp, and who is not */
	struct table_rules *table;
};

/* Adds an empty chain to the table and returns it; the pointer is valid until the next call. NULL
 * once the arena has failed; chain_append() takes that. */
struct chain *build_chain(struct build *b, const char *name, bool builtin);

/* Appends a copy of the rule, without its comment where the plan wants none. A rule that stands for
 * the elements of an empty list is left out. */
void chain_append(struct build *b, struct chain *chain, const struct rule *rule);

/* The same with the rule spelled out: its comment, then what it states. */
#define RULE(b, chain, text, ...) \
	chain_append(b, chain, &(struct rule){ .comment = (text), __VA_ARGS__ })

/* A comment that names a value; "%%s" where the element of a list goes. */
#define TEXT(b, ...) arena_printf((b)->arena, __VA_ARGS__)

void build_raw(struct build *b);
void build_nat(struct build *b);
void build_filter(struct build *b);

/* The servers that DNS is redirected for, as a list; no list where it is that of all servers. */
struct each build_servers(const struct build *b, enum each_kind kind);

/* The address at which programs of this host reach each other. */
extern const struct match_net localhost[FAMILY_COUNT];

#define RETURN         ((struct verdict){ .kind = VERDICT_RETURN })
#define JUMP(CHAIN)    ((struct verdict){ .kind = VERDICT_JUMP, .text = (CHAIN) })
#define REDIRECT(PORT) ((struct verdict){ .kind = VERDICT_REDIRECT, .number = (PORT) })
#define DNAT(PORT)     ((struct verdict){ .kind = VERDICT_DNAT, .number = (PORT) })
#define REJECT         ((struct verdict){ .kind = VERDICT_REJECT })
#define CT_ZONE(ZONE)  ((struct verdict){ .kind = VERDICT_CT_ZONE, .number = (ZONE) })

/* A list of the plan (struct X_list) as one that a rule stands for. */
#define EACH(KIND, LIST) ((struct each){ .kind = (KIND), .items = (LIST).items, .n = (LIST).n })
