/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value.h"

#include <string.h>
#include <strings.h>

#include "common/base/parse.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"
#include "common/config/value_type.h"

static bool string_from_text(const struct value_target *target, const char *text, void *field)
{
	text = arena_strdup(target->arena, text);
	if (!value_check_text(target, NULL, text))
		return false;
	*(const char **)field = text;
	return true;
}

static bool string_from_node(const struct value_target *target, const struct yaml_node *node,
			     void *field)
{
	struct scalar scalar;
	const char *text;

	if (node->kind != NODE_SCALAR)
		return value_unexpected(target, node);
	scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL)
		return false;
	text = scalar_text(target->arena, node);
	if (!value_check_text(target, node, text))
		return false;
	*(const char **)field = text;
	return true;
}

static void string_print(const struct setting *setting _unused_, const void *field,
			 struct strbuf *out)
{
	strbuf_add(out, *(const char *const *)field);
}

static void string_print_yaml(const struct setting *setting _unused_, const void *field,
			      struct strbuf *out)
{
	quote_yaml(*(const char *const *)field, out);
}

static bool bool_from_text(const struct value_target *target, const char *text, void *field)
{
	bool value;

	if (!parse_bool(text, &value))
		return value_unexpected_text(target, text);
	*(bool *)field = value;
	return true;
}

static bool bool_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	struct scalar scalar = { 0 };

	if (node->kind == NODE_SCALAR)
		scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL)
		return false;
	if (scalar.type != SCALAR_BOOL)
		return value_unexpected(target, node);
	*(bool *)field = scalar.truth;
	return true;
}

static void bool_print(const struct setting *setting _unused_, const void *field,
		       struct strbuf *out)
{
	strbuf_add(out, *(const bool *)field ? "true" : "false");
}

/* Returns 1 with the number, 0 for a null, -1 for anything else. */
static int whole_from_node(const struct yaml_node *node, uint64_t max, uint64_t *ret)
{
	struct scalar scalar = { 0 };

	if (node->kind != NODE_SCALAR)
		return -1;
	scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL)
		return 0;
	if (scalar.type != SCALAR_NUMBER || !scalar.whole || scalar.magnitude > max ||
	    (scalar.negative && scalar.magnitude))
		return -1;
	*ret = scalar.magnitude;
	return 1;
}

static void store_whole(const struct setting *setting, uint64_t value, void *field)
{
	if (setting->type == SETTING_UINT32)
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint16_t *)field = (uint16_t)value;
}

static uint64_t whole_max(const struct setting *setting)
{
	return setting->type == SETTING_UINT32 ? UINT32_MAX : UINT16_MAX;
}

static bool uint_from_text(const struct value_target *target, const char *text, void *field)
{
	uint64_t value;

	if (!parse_uint(text, whole_max(target->setting), &value))
		return value_unexpected_text(target, text);
	store_whole(target->setting, value, field);
	return true;
}

static bool uint_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	uint64_t value = 0;
	int r = whole_from_node(node, whole_max(target->setting), &value);

	if (r < 0)
		return value_unexpected(target, node);
	if (r > 0)
		store_whole(target->setting, value, field);
	return r > 0;
}

static void uint_print(const struct setting *setting, const void *field, struct strbuf *out)
{
	strbuf_addf(out, "%u",
		    setting->type == SETTING_UINT32 ? *(const uint32_t *)field
						    : *(const uint16_t *)field);
}

static bool port_from_text(const struct value_target *target, const char *text, void *field)
{
	uint16_t port;

	if (!parse_port(text, &port))
		return value_unexpected_text(target, text);
	*(uint16_t *)field = port;
	return true;
}

static bool port_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	uint64_t value = 0;

	/* An empty port is a mistake, not "as it was": the reference refuses it too. */
	if (whole_from_node(node, UINT16_MAX, &value) <= 0 || value == 0)
		return value_unexpected(target, node);
	*(uint16_t *)field = (uint16_t)value;
	return true;
}

static int find_name(const struct setting *setting, const char *text)
{
	for (int i = 0; setting->names[i]; i++)
		if (strcasecmp(setting->names[i], text) == 0)
			return i;
	return -1;
}

static bool store_name(int i, void *field)
{
	unsigned value = (unsigned)i;

	if (i < 0)
		return false;
	/* All enumerations are of this size: nothing is negative in them. */
	memcpy(field, &value, sizeof(value));
	return true;
}

static bool enum_from_text(const struct value_target *target, const char *text, void *field)
{
	const struct setting *setting = target->setting;
	bool truth;

	if (store_name(find_name(setting, *text ? text : setting->dflt), field))
		return true;
	if (parse_bool(text, &truth) &&
	    store_name(find_name(setting, truth ? "true" : "false"), field))
		return true;
	return value_unexpected_text(target, text);
}

static bool enum_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	const struct setting *setting = target->setting;
	struct scalar scalar;

	if (node->kind != NODE_SCALAR)
		return value_unexpected(target, node);
	scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL || !*node->text)
		return store_name(find_name(setting, setting->dflt), field);
	/* As written first: an unquoted "off" is a switch in YAML, and a word here. */
	if (store_name(find_name(setting, node->text), field))
		return true;
	if (scalar.type == SCALAR_BOOL &&
	    store_name(find_name(setting, scalar.truth ? "true" : "false"), field))
		return true;
	return value_unexpected(target, node);
}

static void enum_print(const struct setting *setting, const void *field, struct strbuf *out)
{
	unsigned value;

	memcpy(&value, field, sizeof(value));
	strbuf_add(out, setting->names[value]);
}

#define WHOLE(max)                                                                     \
	.metavar = "UINT", .allowed = "a whole number from 0 to " max,                 \
	.from_text = uint_from_text, .from_node = uint_from_node, .print = uint_print, \
	.print_yaml = uint_print

static const struct value_type types[SETTING_TYPE_COUNT] = {
	[SETTING_STRING] = { "TEXT", "a text", string_from_text, string_from_node, string_print,
			     string_print_yaml },
	[SETTING_BOOL] = { NULL, "true or false", bool_from_text, bool_from_node, bool_print,
			   bool_print },
	[SETTING_UINT16] = { WHOLE("65535") },
	[SETTING_UINT32] = { WHOLE("4294967295") },
	[SETTING_PORT] = { "PORT", "a port from 1 to 65535", port_from_text, port_from_node,
			   uint_print, uint_print },
	[SETTING_ENUM] = { "WORD", NULL, enum_from_text, enum_from_node, enum_print, enum_print },
};

static const struct value_type *type_of(const struct setting *setting)
{
	switch (setting->type) {
	case SETTING_PORTS:
		return &value_ports;
	case SETTING_STRINGS:
		return &value_strings;
	case SETTING_PAIRS:
		return &value_pairs;
	case SETTING_EXECUTABLES:
		return &value_executables;
	case SETTING_DURATION:
		return &value_duration;
	case SETTING_HOLD:
		return &value_hold;
	case SETTING_STRING:
	case SETTING_BOOL:
	case SETTING_UINT16:
	case SETTING_UINT32:
	case SETTING_PORT:
	case SETTING_ENUM:
	case SETTING_TYPE_COUNT:
		break;
	}
	return &types[setting->type];
}

bool value_from_text(const struct value_target *target, const char *text)
{
	struct value_target typed = *target;

	typed.type = type_of(target->setting);
	return typed.type->from_text(&typed, text,
				     (char *)target->config + target->setting->offset);
}

bool value_from_node(const struct value_target *target, const struct yaml_node *node)
{
	struct value_target typed = *target;

	typed.type = type_of(target->setting);
	return typed.type->from_node(&typed, node,
				     (char *)target->config + target->setting->offset);
}

void value_print(const struct setting *setting, const struct config *config, struct strbuf *out)
{
	type_of(setting)->print(setting, (const char *)config + setting->offset, out);
}

void value_print_yaml(const struct setting *setting, const struct config *config,
		      struct strbuf *out)
{
	type_of(setting)->print_yaml(setting, (const char *)config + setting->offset, out);
}

const char *value_metavar(const struct setting *setting)
{
	return type_of(setting)->metavar;
}

bool value_is_default(const struct setting *setting, const struct config *config)
{
	_strbuf_ struct strbuf text = { 0 };

	value_print(setting, config, &text);
	return strcmp(strbuf_text(&text), setting->dflt) == 0;
}
