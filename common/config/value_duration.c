/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/parse.h"
#include "common/config/scalar.h"

static bool duration_parse(const struct setting *setting, const char *text, int64_t *ret)
{
	if (setting->type == SETTING_HOLD && strcasecmp(text, "infinity") == 0) {
		*ret = DURATION_INFINITY;
		return true;
	}
	return parse_duration(text, ret);
}

/* A number without a unit is nanoseconds, but only for what kumactl knows: nobody means 30 ns. */
static bool number_parse(const struct value_target *target, const struct yaml_node *node,
			 int64_t *ret)
{
	const char *text;
	bool negative;
	uint64_t whole;
	double number;

	if (scalar_type(node) != SCALAR_NUMBER)
		return false;
	text = scalar_text(target->arena, node);
	negative = *text == '-';
	if (!target->setting->kumactl && strcmp(text, "0") != 0)
		return false;
	if (parse_uint(text + negative, INT64_MAX, &whole)) {
		*ret = negative ? -(int64_t)whole : (int64_t)whole;
		return true;
	}
	number = strtod(text, NULL);
	if (!(number > -9e18 && number < 9e18))
		return false;
	*ret = (int64_t)number;
	return true;
}

/* kumactl's flags of this type take a JSON literal: a text in quotes or a number. */
static bool json_parse(const struct value_target *target, const char *text, int64_t *ret)
{
	char *literal = arena_strdup(target->arena, text);
	struct yaml_node node = { .kind = NODE_SCALAR, .plain = true };
	size_t len;

	if (!literal)
		return false;
	node.text = literal = value_trim(literal);
	len = strlen(literal);
	if (len < 2 || literal[0] != '"' || literal[len - 1] != '"')
		return number_parse(target, &node, ret);
	literal[len - 1] = 0;
	return parse_duration(literal + 1, ret);
}

static bool duration_from_text(const struct value_target *target, const char *text, void *field)
{
	bool json = target->origin.kind == ORIGIN_FLAG && target->setting->kumactl;

	return duration_parse(target->setting, text, field) ||
	       (json && json_parse(target, text, field)) || value_unexpected(target, text);
}

static bool duration_from_node(const struct value_target *target, const struct yaml_node *node,
			       void *field)
{
	bool ok = scalar_type(node) == SCALAR_TEXT
			  ? duration_parse(target->setting, node->text, field)
			  : number_parse(target, node, field);

	return ok || value_unexpected(target, NULL);
}

static void drop_suffix(char *text, const char *suffix, size_t n)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	if (len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0)
		text[len - n] = 0;
}

static void duration_print(const struct setting *setting, const void *value, _unused_ bool yaml,
			   struct strbuf *out)
{
	int64_t nsec = *(const int64_t *)value;
	char text[32] = "infinity";

	if (setting->type != SETTING_HOLD || nsec != DURATION_INFINITY) {
		print_duration(nsec, text);
		/* Go says "3m0s" and "1h0m0s", people do not. */
		drop_suffix(text, "m0s", 2);
		drop_suffix(text, "h0m", 2);
	}
	strbuf_add(out, text);
}

const struct value_type value_duration = {
	.metavar = "DURATION",
	.allowed = "a duration with a unit, as 30s, 250ms or 1m30s",
	.from_text = duration_from_text,
	.from_node = duration_from_node,
	.print = duration_print,
};

const struct value_type value_hold = {
	.metavar = "DURATION",
	.allowed = "a duration with a unit, as 30s or 0s, or infinity",
	.from_text = duration_from_text,
	.from_node = duration_from_node,
	.print = duration_print,
};
