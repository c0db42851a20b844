/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files value*.c share: the shape of one type, and how to say what is
 * wrong. Nobody else includes it. */

#include "common/config/value.h"

/* The shape of all lists in struct config. */
struct value_list {
	void *items;
	size_t n;
};

struct value_type {
	const char *metavar; /* NULL: a switch, or .names of the setting */
	const char *allowed; /* completes "… is expected" */
	bool (*from_text)(const struct value_target *target, const char *text, void *field);
	/* NULL: a scalar of one of these types (bits), by from_text(); a null keeps what was there */
	bool (*from_node)(const struct value_target *target, const struct yaml_node *node,
			  void *field);
	unsigned scalars;
	/* Prints the value, or one item of a list. */
	void (*print)(const struct setting *setting, const void *value, bool yaml,
		      struct strbuf *out);
	size_t item_size;     /* 0: no list */
	const char *brackets; /* around a list in YAML */
	/* Adds to a list what a piece of a text (which may be changed), or an entry of a file, says. */
	bool (*add)(const struct value_target *target, char *text, struct value_list *list);
	bool (*add_entry)(const struct value_target *target, const struct yaml_entry *entry,
			  struct value_list *list);
};

extern const struct value_type value_ports, value_strings, value_pairs, value_executables;
extern const struct value_type value_duration, value_hold;

/* Adds a mistake, at the target's place. Returns false. */
bool value_fault(const struct value_target *target, const char *fmt, ...) _printf_(2, 3);

/* What is there: the target's node, in words, or the text where there is no node. */
const char *value_found(const struct value_target *target, const char *text);

/* "WHAT is found where WHAT THE TYPE ALLOWS is expected"; text as for value_found(). Returns false. */
bool value_unexpected(const struct value_target *target, const char *text);

/* Refuses control characters and what is not UTF-8. */
bool value_check_text(const struct value_target *target, const char *text);

/* Prints a text (struct value_type.print). */
void value_print_string(const struct setting *setting, const void *value, bool yaml,
			struct strbuf *out);

/* Cuts the blanks off both ends. */
char *value_trim(char *text);
