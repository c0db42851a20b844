/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <string.h>
#include <strings.h>

#include "common/config/quote.h"
#include "common/config/scalar.h"

/* Sets a name's value: a later one replaces an earlier one. */
static void set_pair(struct arena *arena, struct pair_list *list, const char *key,
		     const char *value)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->items[i].key, key) == 0) {
			list->items[i].value = value;
			return;
		}
	}
	array_push(arena, list, (struct pair){ .key = key, .value = value });
}

/* A copy that can be changed: the original may be the value of an earlier layer. */
static struct pair_list copy_pairs(struct arena *arena, const struct pair_list *list)
{
	struct pair_list copy = { 0 };

	for (size_t i = 0; i < list->n; i++)
		array_push(arena, &copy, list->items[i]);
	return copy;
}

/* Cuts "KEY=VALUE" at the first separator; NULL (and ret alone) without one or without a key. */
static const char *cut(struct arena *arena, const char *piece, char separator, const char **ret)
{
	const char *at = strchr(piece, separator);

	if (!at || at == piece)
		return NULL;
	*ret = at + 1;
	return arena_strndup(arena, piece, (size_t)(at - piece));
}

static bool add_pair(const struct value_target *target, const char *piece, struct pair_list *list)
{
	const char *value, *key = cut(target->arena, piece, '=', &value);

	if (!key && !target->arena->failed)
		return value_fault(target, NULL, "%s is found where NAME=VALUE is expected",
				   quote_text(target->arena, piece));
	if (key)
		set_pair(target->arena, list, key, value);
	return true;
}

static bool pairs_from_text(const struct value_target *target, const char *text, void *field)
{
	const char *rest = value_is_blank(text) ? NULL : text, *piece;
	struct pair_list list = { 0 };
	bool ok = true;

	if (!value_check_text(target, NULL, text))
		return false;
	if (target->append)
		list = copy_pairs(target->arena, field);
	if (target->origin.kind == ORIGIN_FLAG) {
		piece = arena_strdup(target->arena, text);
		ok = !piece || add_pair(target, piece, &list);
	} else {
		while ((piece = value_piece(target->arena, &rest)) && list.n <= VALUE_ITEMS_MAX)
			if (*piece)
				ok = add_pair(target, piece, &list) && ok;
	}
	if (list.n > VALUE_ITEMS_MAX)
		return value_too_many(target, NULL);
	if (ok)
		*(struct pair_list *)field = list;
	return ok;
}

/* The text of a key, or NULL after a mistake. */
static const char *key_of(const struct value_target *target, const struct yaml_node *key)
{
	struct scalar scalar = { .type = SCALAR_NULL };
	const char *text;

	if (key->kind == NODE_SCALAR)
		scalar_resolve(key, &scalar);
	if (scalar.type == SCALAR_NULL || (key->plain && strcmp(key->text, "<<") == 0)) {
		(void)value_fault(target, key,
				  "a key has to be a name (merge keys cannot be used)");
		return NULL;
	}
	text = scalar_text(target->arena, key);
	return value_check_text(target, key, text) ? text : NULL;
}

static bool add_entry(const struct value_target *target, const struct yaml_entry *entry,
		      struct pair_list *list)
{
	const char *key = key_of(target, entry->key), *value;
	size_t before = list->n;

	if (!key)
		return false;
	if (entry->value->kind != NODE_SCALAR)
		return value_fault(target, entry->value,
				   "%s is found where the text for %s is expected",
				   entry->value->kind == NODE_MAPPING ? "a mapping" : "a list",
				   quote_text(target->arena, key));
	value = scalar_text(target->arena, entry->value);
	if (!value_check_text(target, entry->value, value))
		return false;
	set_pair(target->arena, list, key, value);
	if (list->n == before && !target->arena->failed)
		return value_fault(target, entry->key, "the key %s is there twice",
				   quote_text(target->arena, key));
	return true;
}

static bool pairs_from_node(const struct value_target *target, const struct yaml_node *node,
			    void *field)
{
	struct pair_list list = { 0 };
	struct scalar scalar = { 0 };
	bool ok = true;

	if (node->kind == NODE_SCALAR)
		scalar_resolve(node, &scalar);
	if (node->kind != NODE_MAPPING && scalar.type != SCALAR_NULL)
		return value_unexpected(target, node);
	if (node->n > VALUE_ITEMS_MAX)
		return value_too_many(target, node);
	for (size_t i = 0; i < node->n; i++)
		ok = add_entry(target, &node->entries[i], &list) && ok;
	if (ok)
		*(struct pair_list *)field = list;
	return ok;
}

static void print_pairs(const void *field, const char *separator, struct strbuf *out)
{
	const struct pair_list *list = field;

	for (size_t i = 0; i < list->n; i++)
		strbuf_addf(out, "%s%s%s%s", i ? "," : "", list->items[i].key, separator,
			    list->items[i].value);
}

static void pairs_print(const struct setting *setting _unused_, const void *field,
			struct strbuf *out)
{
	print_pairs(field, "=", out);
}

static void pairs_print_yaml(const struct setting *setting _unused_, const void *field,
			     struct strbuf *out)
{
	const struct pair_list *list = field;

	strbuf_addc(out, '{');
	for (size_t i = 0; i < list->n; i++) {
		strbuf_add(out, i ? ", " : "");
		quote_yaml(list->items[i].key, out);
		strbuf_add(out, ": ");
		quote_yaml(list->items[i].value, out);
	}
	strbuf_addc(out, '}');
}

const struct value_type value_pairs = {
	.metavar = "NAME=VALUE",
	.allowed = "a mapping of names to texts",
	.from_text = pairs_from_text,
	.from_node = pairs_from_node,
	.print = pairs_print,
	.print_yaml = pairs_print_yaml,
};

/* kumactl's iptablesExecutables: whatever says something about one name leaves the others. */
static const char *executable_name(const char *text)
{
	static const char *const names[] = { "iptables",  "iptables-save",  "iptables-restore",
					     "ip6tables", "ip6tables-save", "ip6tables-restore" };

	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcasecmp(names[i], text) == 0)
			return names[i];
	return NULL;
}

static bool add_executable(const struct value_target *target, const struct yaml_node *at,
			   const char *key, const char *path, struct pair_list *list)
{
	const char *name = executable_name(key);

	if (!name)
		return value_fault(target, at,
				   "%s is not one of iptables, iptables-save, iptables-restore, "
				   "ip6tables, ip6tables-save, ip6tables-restore",
				   quote_text(target->arena, key));
	set_pair(target->arena, list, name, path);
	return true;
}

static bool executables_from_text(const struct value_target *target, const char *text, void *field)
{
	const char *rest = text, *piece;
	struct pair_list list = copy_pairs(target->arena, field);
	bool ok = true;

	if (!value_check_text(target, NULL, text))
		return false;
	while ((piece = value_piece(target->arena, &rest))) {
		const char *path, *key;

		if (!*piece)
			continue;
		key = cut(target->arena, piece, ':', &path);
		if (!key && !target->arena->failed)
			ok = value_fault(target, NULL, "%s is found where NAME:PATH is expected",
					 quote_text(target->arena, piece));
		else if (key)
			ok = add_executable(target, NULL, key, path, &list) && ok;
	}
	if (ok)
		*(struct pair_list *)field = list;
	return ok;
}

static bool executables_from_node(const struct value_target *target, const struct yaml_node *node,
				  void *field)
{
	struct pair_list given = { 0 }, list = copy_pairs(target->arena, field);
	size_t before = target->diags->n_errors;
	struct scalar scalar = { 0 };

	if (node->kind == NODE_SCALAR)
		scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL)
		return false;
	if (node->kind != NODE_MAPPING)
		return value_unexpected(target, node);
	if (node->n > VALUE_ITEMS_MAX)
		return value_too_many(target, node);
	for (size_t i = 0; i < node->n; i++)
		(void)add_entry(target, &node->entries[i], &given);
	for (size_t i = 0; i < given.n && target->diags->n_errors == before; i++)
		(void)add_executable(target, node, given.items[i].key, given.items[i].value, &list);
	if (target->diags->n_errors != before)
		return false;
	*(struct pair_list *)field = list;
	return true;
}

static void executables_print(const struct setting *setting _unused_, const void *field,
			      struct strbuf *out)
{
	print_pairs(field, ":", out);
}

const struct value_type value_executables = {
	.metavar = "NAME:PATH[,NAME:PATH...]",
	.allowed = "a mapping of iptables' programs to paths",
	.from_text = executables_from_text,
	.from_node = executables_from_node,
	.print = executables_print,
	.print_yaml = pairs_print_yaml,
};
