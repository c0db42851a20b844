/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <string.h>
#include <strings.h>

#include "common/base/parse.h"
#include "common/config/scalar.h"

static bool is_hold(const struct setting *setting)
{
	return setting->type == SETTING_HOLD;
}

static bool duration_parse(const struct setting *setting, const char *text, int64_t *ret)
{
	if (is_hold(setting) && strcasecmp(text, "infinity") == 0) {
		*ret = DURATION_INFINITY;
		return true;
	}
	return parse_duration(text, ret);
}

/* A number without a unit is nanoseconds, but only for what kumactl knows: nobody means 30 ns. */
static bool duration_from_number(const struct setting *setting, const struct scalar *scalar,
				 int64_t *ret)
{
	int64_t nsec;

	if (scalar->type != SCALAR_NUMBER)
		return false;
	if (!setting->kumactl && !(scalar->whole && scalar->magnitude == 0))
		return false;
	if (scalar->whole) {
		if (scalar->magnitude > INT64_MAX)
			return false;
		nsec = (int64_t)scalar->magnitude;
		*ret = scalar->negative ? -nsec : nsec;
		return true;
	}
	if (!(scalar->number > -9e18 && scalar->number < 9e18))
		return false;
	*ret = (int64_t)scalar->number;
	return true;
}

/* kumactl's flags of this type take a JSON literal: a text in quotes or a number. */
static bool duration_from_json(const struct value_target *target, const char *text, int64_t *ret)
{
	struct yaml_node node = { .kind = NODE_SCALAR, .plain = true };
	struct scalar scalar;
	size_t len;

	text += strspn(text, " \t\r\n");
	for (len = strlen(text); len && strchr(" \t\r\n", text[len - 1]); len--)
		;
	text = arena_strndup(target->arena, text, len);
	if (!text)
		return false;
	node.text = text;
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text = arena_strndup(target->arena, text + 1, len - 2);
		return text && parse_duration(text, ret);
	}
	scalar_resolve(&node, &scalar);
	return duration_from_number(target->setting, &scalar, ret);
}

static bool duration_from_text(const struct value_target *target, const char *text, void *field)
{
	bool json = target->origin.kind == ORIGIN_FLAG && target->setting->kumactl;
	int64_t value;

	if (!duration_parse(target->setting, text, &value) &&
	    !(json && duration_from_json(target, text, &value)))
		return value_unexpected_text(target, text);
	*(int64_t *)field = value;
	return true;
}

static bool duration_from_node(const struct value_target *target, const struct yaml_node *node,
			       void *field)
{
	struct scalar scalar;
	int64_t value;
	bool ok;

	if (node->kind != NODE_SCALAR)
		return value_unexpected(target, node);
	scalar_resolve(node, &scalar);
	ok = scalar.type == SCALAR_TEXT ? duration_parse(target->setting, node->text, &value)
					: duration_from_number(target->setting, &scalar, &value);
	if (!ok)
		return value_unexpected(target, node);
	*(int64_t *)field = value;
	return true;
}

static void drop_suffix(char *text, const char *suffix, size_t n)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	if (len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0)
		text[len - n] = 0;
}

static void duration_print(const struct setting *setting, const void *field, struct strbuf *out)
{
	int64_t value = *(const int64_t *)field;
	char text[32];

	if (is_hold(setting) && value == DURATION_INFINITY) {
		strbuf_add(out, "infinity");
		return;
	}
	print_duration(value, text);
	/* Go says "3m0s" and "1h0m0s", people do not. */
	drop_suffix(text, "m0s", 2);
	drop_suffix(text, "h0m", 2);
	strbuf_add(out, text);
}

const struct value_type value_duration = {
	.metavar = "DURATION",
	.allowed = "a duration with a unit, as 30s, 250ms or 1m30s",
	.from_text = duration_from_text,
	.from_node = duration_from_node,
	.print = duration_print,
	.print_yaml = duration_print,
};

const struct value_type value_hold = {
	.metavar = "DURATION",
	.allowed = "a duration with a unit, as 30s or 0s, or infinity",
	.from_text = duration_from_text,
	.from_node = duration_from_node,
	.print = duration_print,
	.print_yaml = duration_print,
};
