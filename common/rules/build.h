/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For raw.c, nat.c, mangle.c and ruleset.c only: how a table is filled. */

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
void build_mangle(struct build *b);

/* The address at which programs of this host reach each other: 127.0.0.1/32, ::1/128. */
struct match_net build_localhost(const struct build *b, enum op op);

static inline struct match_uid match_uid(enum op op, uid_t uid)
{
	return (struct match_uid){ .op = op, .lo = uid, .hi = uid };
}

static inline struct match_net match_address(enum op op, const struct ip_addr *addr,
					     const char *text)
{
	uint8_t len = addr->family == FAMILY_V4 ? 32 : 128;

	return (struct match_net){ .op = op, .net = { .addr = *addr, .len = len }, .text = text };
}

static inline struct match_port match_port(uint16_t port)
{
	return (struct match_port){ .op = OP_IS, .port = port };
}

#define RETURN ((struct verdict){ .kind = VERDICT_RETURN })

static inline struct verdict jump_to(const char *chain)
{
	return (struct verdict){ .kind = VERDICT_JUMP, .text = chain };
}

static inline struct verdict redirect_to(uint16_t port)
{
	return (struct verdict){ .kind = VERDICT_REDIRECT, .number = port };
}

static inline struct verdict ct_zone(uint16_t zone)
{
	return (struct verdict){ .kind = VERDICT_CT_ZONE, .number = zone };
}

/* A list of the plan (struct X_list) as one that a rule stands for. */
#define EACH(KIND, LIST) ((struct each){ .kind = (KIND), .items = (LIST).items, .n = (LIST).n })
