/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The text in which a daemon that replaces itself by another binary hands over what it knows:
 *
 *     tproxyd-state 1
 *     wish 0
 *     kuma-dp.why "did not serve within 180 s"
 *     +new 5
 *     end
 *
 * A line a fact, each name once: a decimal number, or a text in quotes in which \xx stands for a
 * byte. The number in the first line rises when an older version could not read it any more. A version
 * that does not know a name refuses the whole, unless a "+" stands in front: that can be done
 * without, by a reader that does not know it and by one that does not find it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"

#define HANDOVER_MAX ((size_t)16 * 1024 * 1024) /* bytes of the whole */

struct handover_line {
	const char *name, *value;
	unsigned number;     /* of the line */
	bool text, optional; /* in quotes; with a "+" */
	bool taken;
};

/* What was read; lives in its arena. */
struct handover {
	struct arena arena;
	struct handover_line *items;
	size_t n;
};

/* A member of a struct, which is a number (bool, 32 or 64 bits, not negative) or an array of char. */
struct handover_fact {
	const char *name;
	size_t offset, size;
	uint64_t max;
	bool text, optional;
};

/* A member of struct type as a number of at most max, or as a text. */
#define HANDOVER_NUMBER(name_, type, field, max_)                        \
	{                                                                \
		.name = (name_), .offset = offsetof(struct type, field), \
		.size = sizeof(((struct type *)0)->field), .max = (max_) \
	}
#define HANDOVER_TEXT(name_, type, field)                                \
	{                                                                \
		.name = (name_), .offset = offsetof(struct type, field), \
		.size = sizeof(((struct type *)0)->field), .text = true  \
	}

struct handover_table {
	const struct handover_fact *items;
	size_t n;
};

/* The first and the last line. */
void handover_begin(struct strbuf *out);
void handover_end(struct strbuf *out);

/* One fact; its name is "PREFIXNAME". */
void handover_add_number(struct strbuf *out, const char *prefix, const char *name, uint64_t value);
void handover_add_text(struct strbuf *out, const char *prefix, const char *name, const char *text);
void handover_add_facts(struct strbuf *out, const char *prefix, const struct handover_table *table,
			const void *base);

/* Takes the text apart (len bytes). What is not of this form, cut off or of a later form is an error
 * that names the line. */
int handover_parse(const char *text, size_t len, struct handover *ret, struct error *err)
	_must_check_;
void handover_done(struct handover *handover);

/* Takes a fact of which there has to be one. Texts live in the handover's arena. */
int handover_take_number(struct handover *handover, const char *prefix, const char *name,
			 uint64_t max, uint64_t *ret) _must_check_;
const char *handover_take_text(struct handover *handover, const char *prefix, const char *name);

/* All of a table; where one is missing or impossible, base may have been changed in part. */
int handover_take_facts(struct handover *handover, const char *prefix,
			const struct handover_table *table, void *base, struct error *err)
	_must_check_;

/* Whether the fact is there and was not taken yet. */
bool handover_has(const struct handover *handover, const char *prefix, const char *name);

/* An error where something is left that was not taken and cannot be done without. */
int handover_all_taken(const struct handover *handover, struct error *err) _must_check_;
