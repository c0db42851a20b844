/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value.h"

#include <string.h>
#include <strings.h>

#include "common/base/parse.h"
#include "common/config/scalar.h"
#include "common/config/value_type.h"

static bool string_from_text(const struct value_target *target, const char *text, void *field)
{
	if (!value_check_text(target, text))
		return false;
	*(const char **)field = arena_strdup(target->arena, text);
	return true;
}

static bool bool_from_text(const struct value_target *target, const char *text, void *field)
{
	bool value;

	if (!parse_bool(text, &value))
		return value_unexpected(target, text);
	*(bool *)field = value;
	return true;
}

static void bool_print(const struct setting *setting _unused_, const void *value,
		       bool yaml _unused_, struct strbuf *out)
{
	strbuf_add(out, *(const bool *)value ? "true" : "false");
}

static bool is_uint32(const struct setting *setting)
{
	return setting->type == SETTING_UINT32;
}

static bool uint_from_text(const struct value_target *target, const char *text, void *field)
{
	uint64_t value;

	if (!parse_uint(text, is_uint32(target->setting) ? UINT32_MAX : UINT16_MAX, &value))
		return value_unexpected(target, text);
	if (is_uint32(target->setting))
		*(uint32_t *)field = (uint32_t)value;
	else
		*(uint16_t *)field = (uint16_t)value;
	return true;
}

static void uint_print(const struct setting *setting, const void *value, bool yaml _unused_,
		       struct strbuf *out)
{
	strbuf_addf(out, "%u",
		    is_uint32(setting) ? *(const uint32_t *)value : *(const uint16_t *)value);
}

static bool port_from_text(const struct value_target *target, const char *text, void *field)
{
	return parse_port(text, field) || value_unexpected(target, text);
}

static int find_name(const struct setting *setting, const char *text)
{
	for (int i = 0; setting->names[i]; i++)
		if (strcasecmp(setting->names[i], text) == 0)
			return i;
	return -1;
}

static bool enum_from_text(const struct value_target *target, const char *text, void *field)
{
	const struct setting *setting = target->setting;
	int i = find_name(setting, *text ? text : setting->dflt);
	unsigned value;
	bool truth;

	if (i < 0 && parse_bool(text, &truth))
		i = find_name(setting, truth ? "true" : "false");
	if (i < 0)
		return value_unexpected(target, text);
	value = (unsigned)i;
	/* All enumerations are of this size: nothing is negative in them. */
	memcpy(field, &value, sizeof(value));
	return true;
}

static bool enum_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	enum scalar_type type = scalar_type(node);
	const char *text = type == SCALAR_NULL ? "" : node->text;

	/* As written first: an unquoted "off" is a switch in YAML, and a word here. */
	if (type == SCALAR_BOOL && find_name(target->setting, text) < 0)
		text = scalar_text(target->arena, node);
	if (type == SCALAR_NONE || (*text && find_name(target->setting, text) < 0))
		return value_unexpected(target, NULL);
	return enum_from_text(target, text, field);
}

static void enum_print(const struct setting *setting, const void *value, bool yaml _unused_,
		       struct strbuf *out)
{
	unsigned i;

	memcpy(&i, value, sizeof(i));
	strbuf_add(out, setting->names[i]);
}

#define NULL_KEEPS (1U << SCALAR_NULL)
#define NUMBER     (1U << SCALAR_NUMBER)
#define SWITCH     (1U << SCALAR_BOOL)
#define TEXT       (1U << SCALAR_TEXT)

static const struct value_type *type_of(const struct setting *setting)
{
	/* clang-format off */
	static const struct value_type types[SETTING_TYPE_COUNT] = {
		[SETTING_STRING] = { .metavar = "TEXT", .allowed = "a text", .from_text = string_from_text,
				     .scalars = NULL_KEEPS | NUMBER | SWITCH | TEXT, .print = value_print_string },
		[SETTING_BOOL]   = { .allowed = "true or false", .from_text = bool_from_text,
				     .scalars = NULL_KEEPS | SWITCH, .print = bool_print },
		[SETTING_UINT16] = { .metavar = "UINT", .allowed = "a whole number from 0 to 65535",
				     .from_text = uint_from_text, .scalars = NULL_KEEPS | NUMBER, .print = uint_print },
		[SETTING_UINT32] = { .metavar = "UINT", .allowed = "a whole number from 0 to 4294967295",
				     .from_text = uint_from_text, .scalars = NULL_KEEPS | NUMBER, .print = uint_print },
		/* An empty port is a mistake, not "as it was": the reference refuses it too. */
		[SETTING_PORT]   = { .metavar = "PORT", .allowed = "a port from 1 to 65535",
				     .from_text = port_from_text, .scalars = NUMBER, .print = uint_print },
		[SETTING_ENUM]   = { .metavar = "WORD", .from_text = enum_from_text,
				     .from_node = enum_from_node, .print = enum_print },
	};
	/* clang-format on */
	static const struct value_type *const others[SETTING_TYPE_COUNT] = {
		[SETTING_PORTS] = &value_ports,       [SETTING_STRINGS] = &value_strings,
		[SETTING_PAIRS] = &value_pairs,       [SETTING_EXECUTABLES] = &value_executables,
		[SETTING_DURATION] = &value_duration, [SETTING_HOLD] = &value_hold,
	};

	return others[setting->type] ? others[setting->type] : &types[setting->type];
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
	void *field = (char *)target->config + target->setting->offset;
	const struct value_type *type = type_of(target->setting);
	struct value_target typed = *target;
	enum scalar_type scalar = scalar_type(node);

	typed.type = type;
	typed.at = node;
	if (type->from_node)
		return type->from_node(&typed, node, field);
	if (!(type->scalars & (1U << scalar)))
		return value_unexpected(&typed, NULL);
	return scalar != SCALAR_NULL &&
	       type->from_text(&typed, scalar_text(target->arena, node), field);
}

static void print(const struct setting *setting, const struct config *config, bool yaml,
		  struct strbuf *out)
{
	const struct value_type *type = type_of(setting);
	const char *field = (const char *)config + setting->offset;
	struct value_list list;

	if (!type->item_size) {
		type->print(setting, field, yaml, out);
		return;
	}
	memcpy(&list, field, sizeof(list));
	strbuf_add_len(out, type->brackets, yaml);
	for (size_t i = 0; i < list.n; i++) {
		strbuf_add_len(out, ", ", i == 0 ? 0 : yaml ? 2 : 1);
		type->print(setting, (const char *)list.items + i * type->item_size, yaml, out);
	}
	strbuf_add_len(out, type->brackets + 1, yaml);
}

void value_print(const struct setting *setting, const struct config *config, struct strbuf *out)
{
	print(setting, config, false, out);
}

void value_print_yaml(const struct setting *setting, const struct config *config,
		      struct strbuf *out)
{
	print(setting, config, true, out);
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
