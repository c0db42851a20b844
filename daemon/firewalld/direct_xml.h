/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * firewalld's direct.xml as places in its text: so an entry can be cut out or put in and all else
 * stays what it was, to the byte. For firewalld.c only.
 */

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/rules/print_firewalld.h"

/* A chain or a rule; passthrough entries are nobody's business. */
struct direct_element {
	size_t begin, end; /* in the text */
	bool is_rule;
	const char *table, *chain, *priority; /* "" where absent */
	struct string_list words;             /* of a rule, as a shell would split them */
};

struct direct_document {
	struct direct_element *items;
	size_t n;
	size_t insert_at; /* behind everything that the root holds */
	bool root_empty;  /* the root is "<direct/>": insert_at is where its "/>" begins */
};

/* Reads a document. A sentence in err tells what is wrong with it, and in which line. */
int direct_parse(struct arena *arena, const char *text, size_t len, struct direct_document *ret,
		 struct error *err) _must_check_;

/* Splits a rule's arguments as a shell does: blanks, quotes, backslashes. */
void direct_split(struct arena *arena, const char *args, struct string_list *ret);

/* Whether the entry is one that we have stored: a chain of ours, what is in it or leads to it, what
 * has our comment or, in the chains that we share with others, one of our priorities. */
bool direct_is_own(const struct direct_element *element);

/* The text without our entries, and with `entries` behind all others. Returns how many were cut
 * out. */
size_t direct_replace(const char *text, size_t len, const struct direct_document *document,
		      const struct firewalld_entries *entries, struct strbuf *out);
