/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules as firewalld's direct configuration (firewalld.direct(5)). firewalld puts every direct rule
 * at the head of its chain, those of lower priority first, and leaves the order of equal ones open:
 * so each rule has a priority of its own.
 */

#include <stdint.h>

#include "common/base/strbuf.h"
#include "common/rules/ruleset.h"

/* A chain, or a rule of one. */
struct firewalld_entry {
	enum family family;
	enum table table;
	const char *chain;
	const char *args; /* what is behind "-A CHAIN"; NULL: the chain itself */
	int32_t priority;
};

struct firewalld_entries {
	struct firewalld_entry *items;
	size_t n;
};

/*
 * The priorities of our rules in chains that are not ours: what is inserted goes before, what is
 * appended behind the direct rules of others, which count from 0. They tell our rules from those of
 * others where comments are off, also after firewalld has written the file anew.
 */
#define FIREWALLD_INSERTED (-5678000)
#define FIREWALLD_APPENDED 5678000
#define FIREWALLD_BAND     1000000 /* rules that each has room for */
bool firewalld_priority_is_ours(int64_t priority);

/* All chains, then all rules, each in the final order of its chain. Failure of the arena shows in
 * arena->failed. */
void firewalld_entries(struct arena *arena, const struct ruleset *rules,
		       struct firewalld_entries *ret);

/* One element without newline. */
void print_firewalld_entry(const struct firewalld_entry *entry, struct strbuf *out);

/* A whole document that holds nothing else; ends in a newline. Without entries: the one that is
 * left when all are gone. */
void print_firewalld(const struct firewalld_entries *entries, struct strbuf *out);
