/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/proto_json.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"

#define SEEN_MAX 100000

void proto_complain(struct proto_reader *r, const struct yaml_node *at, const char *fmt, ...)
{
	struct diag diag = {
		.severity = r->severity,
		.origin = { ORIGIN_FILE, r->path, at ? at->line : 1, at ? at->column : 1 },
	};
	va_list args;

	va_start(args, fmt);
	diag_vadd(r->diags, diag, fmt, args);
	va_end(args);
	r->refused = true;
}

bool proto_is_null(const struct yaml_node *node)
{
	return scalar_type(node) == SCALAR_NULL;
}

/* Whether a key is the field's name in JSON: "redirectPortInbound" of "redirect_port_inbound". */
static bool is_json_name(const char *key, const char *name)
{
	for (; *name; key++, name++) {
		if (*name == '_' ? *key != toupper((unsigned char)*++name) : *key != *name)
			return false;
	}
	return !*key;
}

static bool is_field(const struct yaml_node *key, const char *name)
{
	return key->kind == NODE_SCALAR &&
	       (is_json_name(key->text, name) || strcmp(key->text, name) == 0);
}

/* The entry of a field that counts: the last one with its name in JSON, else the last one with that
 * of the .proto file. */
static const struct yaml_entry *find(const struct yaml_node *message, const char *name)
{
	const struct yaml_entry *found = NULL;

	for (size_t i = message->n; i-- > 0;) {
		const struct yaml_entry *entry = &message->entries[i];

		if (!is_field(entry->key, name))
			continue;
		if (is_json_name(entry->key->text, name))
			return entry;
		found = found ? found : entry;
	}
	return found;
}

const struct yaml_node *proto_get(const struct yaml_node *message, const char *name)
{
	const struct yaml_entry *entry =
		message && message->kind == NODE_MAPPING ? find(message, name) : NULL;

	return entry && !proto_is_null(entry->value) ? entry->value : NULL;
}

const char *proto_text(const struct yaml_node *message, const char *name)
{
	const struct yaml_node *value = proto_get(message, name);

	return value && value->kind == NODE_SCALAR ? value->text : "";
}

/* A whole number, or one in quotes as JSON writes it, perhaps with blanks around it. */
static bool read_number(const struct yaml_node *node, uint32_t *ret)
{
	const char *text = node->text, *end;
	uint64_t number = 0;

	if (scalar_type(node) == SCALAR_TEXT) {
		text += strspn(text, " ");
		for (end = text; isdigit((unsigned char)*end) && number <= UINT32_MAX; end++)
			number = number * 10 + (uint64_t)(*end - '0');
		if (end == text || (*text == '0' && end - text > 1) || end[strspn(end, " ")] ||
		    number > UINT32_MAX)
			return false;
	} else if (!scalar_whole(node, UINT32_MAX, &number)) {
		return false;
	}
	*ret = (uint32_t)number;
	return true;
}

uint32_t proto_number(const struct yaml_node *message, const char *name)
{
	const struct yaml_node *value = proto_get(message, name);
	uint32_t number;

	return value && read_number(value, &number) ? number : 0;
}

uint32_t proto_enum(const struct yaml_node *message, const char *name, const char *const *words)
{
	const char *text = proto_text(message, name);

	for (uint32_t i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return proto_number(message, name);
}

size_t proto_items(const struct yaml_node *message, const char *name, const struct yaml_entry **ret)
{
	const struct yaml_node *value = proto_get(message, name);
	bool has_items = value && value->kind != NODE_SCALAR;

	*ret = has_items ? value->entries : NULL;
	return has_items ? value->n : 0;
}

/* The value in words, where it is not what is wanted. */
static const char *describe(struct proto_reader *r, const struct yaml_node *node)
{
	static const char *const types[] = {
		[SCALAR_NULL] = "nothing", [SCALAR_BOOL] = "a boolean", [SCALAR_NUMBER] = "a number"
	};
	const char *text;

	if (node->kind != NODE_SCALAR)
		return node->kind == NODE_SEQUENCE ? "a list" : "a mapping";
	text = quote_text(r->arena, node->text);
	if (scalar_type(node) == SCALAR_TEXT)
		return text;
	text = arena_printf(r->arena, "%s (%s)", text, types[scalar_type(node)]);
	return text ? text : "?";
}

void proto_check_text(struct proto_reader *r, const struct yaml_node *node, const char *where)
{
	if (node->kind != NODE_SCALAR)
		proto_complain(r, node, "%s: must be text, not %s", where, describe(r, node));
	else if (scalar_type(node) == SCALAR_BOOL || scalar_type(node) == SCALAR_NUMBER)
		proto_complain(r, node, "%s: must be text, not %s: put it in quotes", where,
			       describe(r, node));
}

/* kuma-dp's libraries take any number for an enum. */
static void check_enum(struct proto_reader *r, const struct yaml_node *node,
		       const struct proto_field *field, const char *where)
{
	const char *words = "";
	uint64_t number;

	if (scalar_whole(node, INT32_MAX, &number))
		return;
	for (size_t i = 0; field->words[i]; i++) {
		if (scalar_type(node) == SCALAR_TEXT && strcmp(node->text, field->words[i]) == 0)
			return;
		words = arena_printf(r->arena, "%s%s%s", words, i ? ", " : "", field->words[i]);
		if (!words)
			return;
	}
	proto_complain(r, node, "%s: is %s, must be one of %s", where, describe(r, node), words);
}

/* Whether n more values may be looked at. What is behind an alias counts each time; kuma-dp's
 * library has a limit of its own for that. */
static bool may_see(struct proto_reader *r, const struct yaml_node *at, size_t n)
{
	struct origin origin = { ORIGIN_FILE, r->path, at->line, at->column };
	bool first = r->n_seen <= SEEN_MAX;

	r->n_seen += n + 1;
	if (r->n_seen <= SEEN_MAX)
		return true;
	if (first)
		diag_add(r->diags, SEVERITY_ERROR, &origin, NULL,
			 "has more than %d values, those behind aliases counted each time",
			 SEEN_MAX);
	r->refused = true;
	return false;
}

/* JSON knows only text as keys. What "<<" names kuma-dp takes over by rules of its own: better none
 * of it than another reading. */
static void check_keys(struct proto_reader *r, const struct yaml_node *node)
{
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *key = node->entries[i].key;

		if (key->kind == NODE_SCALAR && strcmp(key->text, "<<") == 0)
			proto_complain(r, key, "merge keys (<<) are not supported");
		else if (key->kind != NODE_SCALAR || proto_is_null(key))
			proto_complain(r, key, "a key must be text, not %s", describe(r, key));
	}
}

static void check_texts(struct proto_reader *r, const struct yaml_node *node, const char *where)
{
	for (size_t i = 0; i < node->n; i++) {
		const char *key = node->entries[i].key->text;

		proto_check_text(r, node->entries[i].value,
				 arena_printf(r->arena, "%s: %s", where, key ? key : "?"));
	}
}

static bool is_kind(const struct yaml_node *node, enum proto_kind kind)
{
	uint32_t number;
	int64_t nsec;

	if (kind == PROTO_UINT32)
		return read_number(node, &number);
	if (kind >= PROTO_MESSAGE)
		return node->kind == NODE_MAPPING;
	if (kind == PROTO_BOOL)
		return scalar_type(node) == SCALAR_BOOL;
	return scalar_type(node) == SCALAR_TEXT && parse_duration(node->text, &nsec);
}

static void check_value(struct proto_reader *r, const struct yaml_node *node,
			const struct proto_field *field, const char *where)
{
	static const char *const wanted[] = {
		[PROTO_UINT32] = "a whole number from 0 to 4294967295",
		[PROTO_BOOL] = "true or false",
		[PROTO_DURATION] = "a duration in quotes or letters, as 10s or 1m30s",
		[PROTO_MESSAGE] = "a mapping",
		[PROTO_TEXTS] = "a mapping of texts",
		[PROTO_MAPPING] = "a mapping",
	};

	if (proto_is_null(node) || !may_see(r, node, node->n))
		return;
	if (field->kind == PROTO_TEXT) {
		proto_check_text(r, node, where);
	} else if (field->kind == PROTO_ENUM) {
		check_enum(r, node, field, where);
	} else if (!is_kind(node, field->kind)) {
		proto_complain(r, node, "%s: is %s, must be %s", where, describe(r, node),
			       wanted[field->kind]);
	} else if (field->kind == PROTO_MESSAGE) {
		proto_check(r, node, field->fields, where);
	} else if (node->kind == NODE_MAPPING) {
		check_keys(r, node);
		if (field->kind == PROTO_TEXTS)
			check_texts(r, node, where);
	}
}

static void check_list(struct proto_reader *r, const struct yaml_node *node,
		       const struct proto_field *field, const char *where)
{
	if (node->kind != NODE_SEQUENCE) {
		proto_complain(r, node, "%s: is %s, must be a list", where, describe(r, node));
		return;
	}
	for (size_t i = 0; i < node->n && r->n_seen <= SEEN_MAX; i++)
		check_value(r, node->entries[i].value, field,
			    arena_printf(r->arena, "%s[%zu]", where, i));
}

static void warn_of_others(struct proto_reader *r, const struct yaml_node *message,
			   const struct proto_field *field, const struct yaml_entry *counts)
{
	struct origin origin = { ORIGIN_FILE, r->path, counts->key->line, counts->key->column };

	for (size_t i = 0; i < message->n; i++)
		if (&message->entries[i] != counts &&
		    is_field(message->entries[i].key, field->name))
			diag_add(r->diags, SEVERITY_WARNING, &origin, NULL,
				 "'%s' is here twice: this one counts", counts->key->text);
}

void proto_check(struct proto_reader *r, const struct yaml_node *message,
		 const struct proto_field *fields, const char *where)
{
	check_keys(r, message);
	for (const struct proto_field *field = fields; field->name; field++) {
		const struct yaml_entry *entry = find(message, field->name);
		const char *name;

		if (!entry)
			continue;
		warn_of_others(r, message, field, entry);
		name = arena_printf(r->arena, "%s%s%s", where, *where ? "." : "", entry->key->text);
		if (!name || proto_is_null(entry->value))
			continue;
		if (field->repeated)
			check_list(r, entry->value, field, name);
		else
			check_value(r, entry->value, field, name);
	}
}
