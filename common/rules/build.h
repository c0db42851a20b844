/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For raw.c, nat.c and mangle.c only: how a table is filled. */

#include <netinet/in.h>

#include "common/rules/ruleset.h"

struct build {
	struct arena *arena;
	const struct plan *plan;
	enum level level;
	enum family family;
	const struct plan_family *f;
	struct table_rules *table;
};

/* Adds an empty chain to the table and returns it; the pointer is valid until the next call. */
struct chain *build_chain(struct build *b, const char *name, bool builtin);

void chain_append(struct build *b, struct chain *chain, const struct rule *rule);

void build_raw(struct build *b);
void build_nat(struct build *b);
void build_mangle(struct build *b);
