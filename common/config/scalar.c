/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/scalar.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"

#define NUMBER_MAX 64 /* no longer word is taken for a number */

/* 2^64 is the first whole number that no longer fits. */
#define WHOLE_END 18446744073709551616.0

/* The shortest digits that read back as the same number; a whole one without an exponent. */
static void print_number(double number, char ret[static NUMBER_MAX])
{
	double size = number < 0 ? -number : number;

	if (size < WHOLE_END && (double)(uint64_t)size == size) {
		(void)snprintf(ret, NUMBER_MAX, "%s%llu", number < 0 ? "-" : "",
			       (unsigned long long)size);
		return;
	}
	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(ret, NUMBER_MAX, "%.*g", precision, number);
		if (strtod(ret, NULL) == number)
			return;
	}
}

/* Whether the word is a number: as Go writes whole ones, or
 * [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, with "_" anywhere. */
static bool number_parse(const char *word, char ret[static NUMBER_MAX])
{
	bool sign = *word == '-' || *word == '+';
	char digits[NUMBER_MAX] = { 0 }, *end;
	uint64_t whole;
	double number;
	size_t n = 0;

	if (!sign && *word != '.' && !isdigit((unsigned char)*word))
		return false;
	for (const char *p = word; *p; p++) {
		if (*p == '_')
			continue;
		if (n + 1 == sizeof(digits))
			return false;
		digits[n++] = *p;
	}
	if (parse_uint(digits + sign, UINT64_MAX, &whole)) {
		(void)snprintf(ret, NUMBER_MAX, "%s%llu", *word == '-' && whole ? "-" : "",
			       (unsigned long long)whole);
		return true;
	}
	number = strtod(digits, &end);
	if (end == digits || *end || digits[strspn(digits, "0123456789+-.eE")] || isinf(number))
		return false;
	print_number(number, ret);
	return true;
}

/* The node's type, with what its value is as text; number has room for that of a number. */
static enum scalar_type resolve(const struct yaml_node *node, const char **ret,
				char number[static NUMBER_MAX])
{
	static const struct {
		enum scalar_type type;
		const char *text, *words[11];
	} known[] = {
		{ SCALAR_NULL, "", { "", "~", "null", "Null", "NULL" } },
		{ SCALAR_BOOL,
		  "true",
		  { "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE" } },
		{ SCALAR_BOOL,
		  "false",
		  { "n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE" } },
		{ SCALAR_NUMBER,
		  "inf",
		  { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
		    "-.INF" } },
		{ SCALAR_NUMBER, "nan", { ".nan", ".NaN", ".NAN" } },
	};

	*ret = node->text;
	if (node->kind != NODE_SCALAR)
		return SCALAR_NONE;
	for (size_t i = 0; node->plain && i < ELEMENTS(known); i++) {
		for (size_t j = 0; j < ELEMENTS(known[i].words) && known[i].words[j]; j++) {
			if (strcmp(node->text, known[i].words[j]) == 0) {
				*ret = known[i].text;
				return known[i].type;
			}
		}
	}
	if (!node->plain || !number_parse(node->text, number))
		return SCALAR_TEXT;
	*ret = number;
	return SCALAR_NUMBER;
}

enum scalar_type scalar_type(const struct yaml_node *node)
{
	char number[NUMBER_MAX];
	const char *text;

	return resolve(node, &text, number);
}

bool scalar_whole(const struct yaml_node *node, uint64_t max, uint64_t *ret)
{
	char number[NUMBER_MAX];
	const char *text;

	return resolve(node, &text, number) == SCALAR_NUMBER && parse_decimal(text, max, ret);
}

const char *scalar_text(struct arena *arena, const struct yaml_node *node)
{
	char number[NUMBER_MAX];
	const char *text;

	(void)resolve(node, &text, number);
	text = arena_strdup(arena, text);
	return text ? text : "";
}
