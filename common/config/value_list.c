/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <ctype.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"

const char *value_piece(struct arena *arena, const char **rest)
{
	const char *start = *rest;
	size_t len;

	if (!start)
		return NULL;
	len = strcspn(start, ",");
	*rest = start[len] ? start + len + 1 : NULL;
	while (len && isspace((unsigned char)*start)) {
		start++;
		len--;
	}
	while (len && isspace((unsigned char)start[len - 1]))
		len--;
	return arena_strndup(arena, start, len);
}

bool value_is_blank(const char *text)
{
	return !text[strspn(text, " \t\r\n")];
}

bool value_too_many(const struct value_target *target, const struct yaml_node *at)
{
	return value_fault(target, at, "more than %d items", VALUE_ITEMS_MAX);
}

/* Appends the ports of a comma list; empty pieces are skipped. */
static bool add_ports(const struct value_target *target, const struct yaml_node *at,
		      const char *text, struct port_list *list)
{
	const char *rest = text, *piece;
	bool ok = true;

	while ((piece = value_piece(target->arena, &rest))) {
		uint16_t port;

		if (!*piece)
			continue;
		if (parse_port(piece, &port))
			array_push(target->arena, list, port);
		else
			ok = value_fault(target, at,
					 "%s is not a port from 1 to 65535 (ranges cannot be used)",
					 quote_text(target->arena, piece));
		if (list->n > VALUE_ITEMS_MAX)
			return value_too_many(target, at);
	}
	return ok;
}

static bool ports_from_text(const struct value_target *target, const char *text, void *field)
{
	struct port_list list = { 0 };

	if (!add_ports(target, NULL, text, &list))
		return false;
	*(struct port_list *)field = list;
	return true;
}

/* One number, or a text with a comma list. */
static bool add_ports_of(const struct value_target *target, const struct yaml_node *node,
			 struct port_list *list)
{
	struct scalar scalar = { 0 };

	if (node->kind != NODE_SCALAR)
		return value_unexpected(target, node);
	scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_TEXT)
		return add_ports(target, node, node->text, list);
	if (scalar.type != SCALAR_NUMBER || !scalar.whole || scalar.negative ||
	    scalar.magnitude == 0 || scalar.magnitude > UINT16_MAX)
		return value_unexpected(target, node);
	array_push(target->arena, list, (uint16_t)scalar.magnitude);
	return true;
}

static bool ports_from_node(const struct value_target *target, const struct yaml_node *node,
			    void *field)
{
	struct port_list list = { 0 };
	bool ok = true;

	if (node->kind != NODE_SEQUENCE)
		ok = add_ports_of(target, node, &list);
	else if (node->n > VALUE_ITEMS_MAX)
		return value_too_many(target, node);
	else
		for (size_t i = 0; i < node->n; i++)
			ok = add_ports_of(target, node->entries[i].value, &list) && ok;
	if (ok)
		*(struct port_list *)field = list;
	return ok;
}

static void ports_print(const struct setting *setting _unused_, const void *field,
			struct strbuf *out)
{
	const struct port_list *list = field;

	for (size_t i = 0; i < list->n; i++)
		strbuf_addf(out, "%s%u", i ? "," : "", list->items[i]);
}

static void ports_print_yaml(const struct setting *setting _unused_, const void *field,
			     struct strbuf *out)
{
	const struct port_list *list = field;

	strbuf_addc(out, '[');
	for (size_t i = 0; i < list->n; i++)
		strbuf_addf(out, "%s%u", i ? ", " : "", list->items[i]);
	strbuf_addc(out, ']');
}

const struct value_type value_ports = {
	.metavar = "PORT[,PORT...]",
	.allowed = "a list of ports from 1 to 65535",
	.from_text = ports_from_text,
	.from_node = ports_from_node,
	.print = ports_print,
	.print_yaml = ports_print_yaml,
};

/* kumactl keeps the blanks around the commas of a variable; what they do
 * there is each list's own. */
static const char *next_text(const struct value_target *target, const char **rest)
{
	const char *start = *rest;
	size_t len;

	if (!start || !target->setting->kumactl)
		return value_piece(target->arena, rest);
	len = strcspn(start, ",");
	*rest = start[len] ? start + len + 1 : NULL;
	return arena_strndup(target->arena, start, len);
}

static bool strings_from_text(const struct value_target *target, const char *text, void *field)
{
	struct string_list list = { 0 }, *stored = field;
	const char *rest = value_is_blank(text) ? NULL : text, *piece;

	if (!value_check_text(target, NULL, text))
		return false;
	if (target->origin.kind == ORIGIN_FLAG) {
		/* One item per occurrence: it may contain commas. */
		if (target->append)
			list = *stored;
		array_push(target->arena, &list, arena_strdup(target->arena, text));
	} else {
		while ((piece = next_text(target, &rest)))
			array_push(target->arena, &list, piece);
	}
	if (list.n > VALUE_ITEMS_MAX)
		return value_too_many(target, NULL);
	*stored = list;
	return true;
}

static bool strings_from_node(const struct value_target *target, const struct yaml_node *node,
			      void *field)
{
	struct string_list list = { 0 };
	struct scalar scalar = { 0 };
	bool ok = true;

	if (node->kind == NODE_SCALAR)
		scalar_resolve(node, &scalar);
	if (node->kind != NODE_SEQUENCE && scalar.type != SCALAR_NULL)
		return value_unexpected(target, node);
	if (node->n > VALUE_ITEMS_MAX)
		return value_too_many(target, node);
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *item = node->entries[i].value;
		const char *text;

		if (item->kind != NODE_SCALAR) {
			ok = value_fault(target, item, "%s is found where a text is expected",
					 item->kind == NODE_MAPPING ? "a mapping" : "a list");
			continue;
		}
		text = scalar_text(target->arena, item);
		ok = value_check_text(target, item, text) && ok;
		array_push(target->arena, &list, text);
	}
	if (ok)
		*(struct string_list *)field = list;
	return ok;
}

static void strings_print(const struct setting *setting _unused_, const void *field,
			  struct strbuf *out)
{
	const struct string_list *list = field;

	for (size_t i = 0; i < list->n; i++)
		strbuf_addf(out, "%s%s", i ? "," : "", list->items[i]);
}

static void strings_print_yaml(const struct setting *setting _unused_, const void *field,
			       struct strbuf *out)
{
	const struct string_list *list = field;

	strbuf_addc(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		strbuf_add(out, i ? ", " : "");
		quote_yaml(list->items[i], out);
	}
	strbuf_addc(out, ']');
}

const struct value_type value_strings = {
	.metavar = "TEXT",
	.allowed = "a list of texts",
	.from_text = strings_from_text,
	.from_node = strings_from_node,
	.print = strings_print,
	.print_yaml = strings_print_yaml,
};
