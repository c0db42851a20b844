/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/scalar.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"

#define NUMBER_MAX 64 /* no longer word is taken for a number */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_like_float(const char *text)
{
	bool digits = false;

	text += *text == '-' || *text == '+';
	for (; isdigit((unsigned char)*text); text++)
		digits = true;
	if (*text == '.')
		for (text++; isdigit((unsigned char)*text); text++)
			digits = true;
	if (!digits)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (!isdigit((unsigned char)*text))
			return false;
		while (isdigit((unsigned char)*text))
			text++;
	}
	return !*text;
}

/* 2^64 is the first whole number that no longer fits. */
#define MAGNITUDE_END 18446744073709551616.0

static void set_number(struct scalar *ret, double number)
{
	double size = number < 0 ? -number : number;

	ret->type = SCALAR_NUMBER;
	ret->number = number;
	ret->negative = number < 0;
	ret->whole = size < MAGNITUDE_END && (double)(uint64_t)size == size;
	if (ret->whole)
		ret->magnitude = (uint64_t)size;
}

static bool resolve_number(const char *text, struct scalar *ret)
{
	static const char *const infinite[] = { ".inf", ".Inf", ".INF", NULL };
	static const char *const nan_words[] = { ".nan", ".NaN", ".NAN", NULL };
	bool sign = *text == '-' || *text == '+';
	char digits[NUMBER_MAX] = { 0 };
	size_t n = 0;

	if (!sign && *text != '.' && !isdigit((unsigned char)*text))
		return false;
	if (is_one_of(text, nan_words) || is_one_of(text + sign, infinite)) {
		ret->type = SCALAR_NUMBER;
		ret->negative = *text == '-';
		ret->number = text[1] == 'n' || text[1] == 'N' ? NAN : INFINITY;
		return true;
	}
	for (const char *p = text; *p; p++) {
		if (*p == '_')
			continue;
		if (n + 1 == sizeof(digits))
			return false;
		digits[n++] = *p;
	}
	digits[n] = 0;
	if (parse_uint(digits + sign, UINT64_MAX, &ret->magnitude)) {
		ret->type = SCALAR_NUMBER;
		ret->whole = true;
		ret->negative = *text == '-' && ret->magnitude;
		ret->number = (double)ret->magnitude * (ret->negative ? -1 : 1);
		return true;
	}
	if (!looks_like_float(digits))
		return false;
	set_number(ret, strtod(digits, NULL));
	return true;
}

void scalar_resolve(const struct yaml_node *node, struct scalar *ret)
{
	static const char *const null_words[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const yes_words[] = { "y",  "Y",  "yes",  "Yes",  "YES",  "on",
						 "On", "ON", "true", "True", "TRUE", NULL };
	static const char *const no_words[] = { "n",   "N",   "no",    "No",    "NO",    "off",
						"Off", "OFF", "false", "False", "FALSE", NULL };

	*ret = (struct scalar){ .type = SCALAR_TEXT };
	if (!node->plain)
		return;
	if (is_one_of(node->text, null_words)) {
		ret->type = SCALAR_NULL;
	} else if (is_one_of(node->text, yes_words)) {
		ret->type = SCALAR_BOOL;
		ret->truth = true;
	} else if (is_one_of(node->text, no_words)) {
		ret->type = SCALAR_BOOL;
	} else {
		(void)resolve_number(node->text, ret);
	}
}

/* The shortest digits that read back as the same number. */
static const char *number_text(struct arena *arena, double number)
{
	char buf[40];

	for (int precision = 1; precision <= 17; precision++) {
		(void)snprintf(buf, sizeof(buf), "%.*g", precision, number);
		if (strtod(buf, NULL) == number)
			break;
	}
	return arena_strdup(arena, buf);
}

const char *scalar_text(struct arena *arena, const struct yaml_node *node)
{
	struct scalar scalar;

	scalar_resolve(node, &scalar);
	switch (scalar.type) {
	case SCALAR_NULL:
		return "";
	case SCALAR_BOOL:
		return scalar.truth ? "true" : "false";
	case SCALAR_NUMBER:
		if (scalar.whole)
			return arena_printf(arena, "%s%llu", scalar.negative ? "-" : "",
					    (unsigned long long)scalar.magnitude);
		return number_text(arena, scalar.number);
	case SCALAR_TEXT:
		break;
	}
	return arena_strdup(arena, node->text);
}
