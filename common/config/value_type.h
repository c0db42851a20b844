/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files value*.c share: the shape of one type, and how to say what is
 * wrong. Nobody else includes it. */

#include "common/config/value.h"

struct value_type {
	const char *metavar; /* NULL: a switch, or .names of the setting */
	const char *allowed; /* completes "… is expected" */
	bool (*from_text)(const struct value_target *target, const char *text, void *field);
	bool (*from_node)(const struct value_target *target, const struct yaml_node *node,
			  void *field);
	void (*print)(const struct setting *setting, const void *field, struct strbuf *out);
	void (*print_yaml)(const struct setting *setting, const void *field, struct strbuf *out);
};

extern const struct value_type value_ports, value_strings, value_pairs, value_executables;
extern const struct value_type value_duration, value_hold;

/* Adds a mistake; at (may be NULL) is the place in the file. Returns false. */
bool value_fault(const struct value_target *target, const struct yaml_node *at, const char *fmt,
		 ...) _printf_(3, 4);

/* "WHAT is found where WHAT THE TYPE ALLOWS is expected". */
bool value_unexpected(const struct value_target *target, const struct yaml_node *at);
bool value_unexpected_text(const struct value_target *target, const char *text);

/* Refuses control characters and what is not UTF-8. */
bool value_check_text(const struct value_target *target, const struct yaml_node *at,
		      const char *text);

/* Adds that there are too many items. Returns false. */
bool value_too_many(const struct value_target *target, const struct yaml_node *at);

/* The next piece of *rest, cut at commas and trimmed; NULL at the end. The last piece may be empty
 * as any other: "a," has two. */
const char *value_piece(struct arena *arena, const char **rest);

bool value_is_blank(const char *text);
