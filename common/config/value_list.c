/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <string.h>
#include <strings.h>

#include "common/base/parse.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"

static void push(const struct value_target *target, struct value_list *list, const void *item)
{
	size_t size = target->type->item_size;
	void *slot = array_grow(target->arena, &list->items, &list->n, size);

	if (slot)
		memcpy(slot, item, size);
}

/* A copy of the field that can be changed: that may be the value of an earlier layer. */
static struct value_list copy(const struct value_target *target, const void *field)
{
	struct value_list from, list = { 0 };

	memcpy(&from, field, sizeof(from));
	for (size_t i = 0; i < from.n; i++)
		push(target, &list, (const char *)from.items + i * target->type->item_size);
	return list;
}

static bool too_many(const struct value_target *target)
{
	return value_fault(target, "more than %d items", VALUE_ITEMS_MAX);
}

/* Puts the list into the field, unless a mistake was in it. */
static bool store(const struct value_target *target, bool ok, const struct value_list *list,
		  void *field)
{
	if (list->n > VALUE_ITEMS_MAX)
		return too_many(target);
	if (ok)
		memcpy(field, list, sizeof(*list));
	return ok;
}

/* Adds what stands between the commas. kumactl keeps the blanks around them in lists of texts, where
 * an empty item is one too: what that means is each setting's own. */
static bool add_pieces(const struct value_target *target, const char *text, struct value_list *list)
{
	bool texts = target->setting->type == SETTING_STRINGS;
	char *rest = NULL, *piece;
	bool ok = true;

	if (list->n <= VALUE_ITEMS_MAX)
		rest = arena_strdup(target->arena, text);
	while (list->n <= VALUE_ITEMS_MAX && (piece = strsep(&rest, ","))) {
		if (!texts || !target->setting->kumactl)
			piece = value_trim(piece);
		if (texts || *piece)
			ok = target->type->add(target, piece, list) && ok;
	}
	return ok;
}

static bool list_from_text(const struct value_target *target, const char *text, void *field)
{
	const enum setting_type type = target->setting->type;
	struct value_list list = { 0 };
	bool ok = true;

	if (type != SETTING_PORTS && !value_check_text(target, text))
		return false;
	if (type == SETTING_EXECUTABLES || (target->append && type != SETTING_PORTS))
		list = copy(target, field);
	if (target->origin.kind == ORIGIN_FLAG &&
	    (type == SETTING_STRINGS || type == SETTING_PAIRS)) {
		/* One item per occurrence: it may contain commas. */
		char *item = arena_strdup(target->arena, text);

		ok = item && target->type->add(target, item, &list);
	} else if (text[strspn(text, " \t\r\n")]) {
		ok = add_pieces(target, text, &list);
	}
	return store(target, ok, &list, field);
}

static bool list_from_node(const struct value_target *target, const struct yaml_node *node,
			   void *field)
{
	bool sequence = target->type->brackets[0] == '[';
	struct value_target item = *target;
	struct value_list list = { 0 };
	bool ok = true;

	if (node->kind != (sequence ? NODE_SEQUENCE : NODE_MAPPING) &&
	    scalar_type(node) != SCALAR_NULL)
		return value_unexpected(target, NULL);
	if (node->n > VALUE_ITEMS_MAX)
		return too_many(target);
	for (size_t i = 0; i < node->n; i++) {
		item.at = node->entries[i].value;
		ok = target->type->add_entry(&item, &node->entries[i], &list) && ok;
	}
	return store(target, ok, &list, field);
}

static bool add_port(const struct value_target *target, char *text, struct value_list *list)
{
	uint16_t port;

	if (!parse_port(text, &port))
		return value_fault(target,
				   "%s is not a port from 1 to 65535 (ranges cannot be used)",
				   quote_text(target->arena, text));
	push(target, list, &port);
	return true;
}

/* One number, or a text with a comma list. */
static bool add_port_entry(const struct value_target *target, const struct yaml_entry *entry,
			   struct value_list *list)
{
	enum scalar_type type = scalar_type(entry->value);
	uint16_t port;

	if (type == SCALAR_TEXT)
		return add_pieces(target, entry->value->text, list);
	if (type != SCALAR_NUMBER || !parse_port(scalar_text(target->arena, entry->value), &port))
		return value_unexpected(target, NULL);
	push(target, list, &port);
	return true;
}

static bool ports_from_node(const struct value_target *target, const struct yaml_node *node,
			    void *field)
{
	struct yaml_entry alone = { .value = node };
	struct yaml_node list = { .kind = NODE_SEQUENCE, .entries = &alone, .n = 1 };

	return list_from_node(target, node->kind == NODE_SEQUENCE ? node : &list, field);
}

static void port_print(const struct setting *setting _unused_, const void *value,
		       bool yaml _unused_, struct strbuf *out)
{
	strbuf_addf(out, "%u", *(const uint16_t *)value);
}

const struct value_type value_ports = {
	.metavar = "PORT[,PORT...]",
	.allowed = "a list of ports from 1 to 65535",
	.from_text = list_from_text,
	.from_node = ports_from_node,
	.print = port_print,
	.item_size = sizeof(uint16_t),
	.brackets = "[]",
	.add = add_port,
	.add_entry = add_port_entry,
};

static bool add_string(const struct value_target *target, char *text, struct value_list *list)
{
	push(target, list, &text);
	return true;
}

static bool add_string_entry(const struct value_target *target, const struct yaml_entry *entry,
			     struct value_list *list)
{
	const char *text;

	if (entry->value->kind != NODE_SCALAR)
		return value_fault(target, "%s is found where a text is expected",
				   value_found(target, NULL));
	text = scalar_text(target->arena, entry->value);
	push(target, list, &text);
	return value_check_text(target, text);
}

void value_print_string(const struct setting *setting _unused_, const void *value, bool yaml,
			struct strbuf *out)
{
	const char *text = *(const char *const *)value;

	if (yaml)
		quote_yaml(text, out);
	else
		strbuf_add(out, text);
}

const struct value_type value_strings = {
	.metavar = "TEXT",
	.allowed = "a list of texts",
	.from_text = list_from_text,
	.from_node = list_from_node,
	.print = value_print_string,
	.item_size = sizeof(const char *),
	.brackets = "[]",
	.add = add_string,
	.add_entry = add_string_entry,
};

/* Sets a name's value: a later one replaces an earlier one. */
static void set_pair(const struct value_target *target, struct value_list *list, struct pair pair)
{
	struct pair *pairs = list->items;

	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(pairs[i].key, pair.key) == 0) {
			pairs[i].value = pair.value;
			return;
		}
	}
	push(target, list, &pair);
}

/* kumactl's iptablesExecutables: whatever says something about one name leaves the others. */
static bool set_executable(const struct value_target *target, struct value_list *list,
			   struct pair pair)
{
	static const char *const names[] = { "iptables",  "iptables-save",  "iptables-restore",
					     "ip6tables", "ip6tables-save", "ip6tables-restore" };

	for (size_t i = 0; i < ELEMENTS(names); i++) {
		if (strcasecmp(names[i], pair.key) == 0) {
			set_pair(target, list, (struct pair){ names[i], pair.value });
			return true;
		}
	}
	return value_fault(target,
			   "%s is not one of iptables, iptables-save, iptables-restore, "
			   "ip6tables, ip6tables-save, ip6tables-restore",
			   quote_text(target->arena, pair.key));
}

static char separator_of(const struct setting *setting)
{
	return setting->type == SETTING_EXECUTABLES ? ':' : '=';
}

/* Adds "KEY=VALUE". */
static bool add_pair(const struct value_target *target, char *text, struct value_list *list)
{
	bool executable = target->setting->type == SETTING_EXECUTABLES;
	char *value = strchr(text, separator_of(target->setting));

	if (!value || value == text)
		return value_fault(target, "%s is found where %s is expected",
				   quote_text(target->arena, text),
				   executable ? "NAME:PATH" : "NAME=VALUE");
	*value++ = 0;
	if (executable)
		return set_executable(target, list, (struct pair){ text, value });
	set_pair(target, list, (struct pair){ text, value });
	return true;
}

static bool add_pair_entry(const struct value_target *target, const struct yaml_entry *entry,
			   struct value_list *list)
{
	struct value_target at_key = *target;
	const struct yaml_node *key = entry->key;
	enum scalar_type type = scalar_type(key);
	struct pair pair;
	size_t before = list->n;

	at_key.at = key;
	if (type == SCALAR_NONE || type == SCALAR_NULL ||
	    (key->plain && strcmp(key->text, "<<") == 0))
		return value_fault(&at_key, "a key has to be a name (merge keys cannot be used)");
	pair.key = scalar_text(target->arena, key);
	if (!value_check_text(&at_key, pair.key))
		return false;
	if (entry->value->kind != NODE_SCALAR)
		return value_fault(target, "%s is found where the text for %s is expected",
				   value_found(target, NULL), quote_text(target->arena, pair.key));
	pair.value = scalar_text(target->arena, entry->value);
	if (!value_check_text(target, pair.value))
		return false;
	set_pair(target, list, pair);
	if (list->n == before && !target->arena->failed)
		return value_fault(&at_key, "the key %s is there twice",
				   quote_text(target->arena, pair.key));
	return true;
}

static void pair_print(const struct setting *setting, const void *value, bool yaml,
		       struct strbuf *out)
{
	const struct pair *pair = value;

	if (!yaml) {
		strbuf_addf(out, "%s%c%s", pair->key, separator_of(setting), pair->value);
		return;
	}
	quote_yaml(pair->key, out);
	strbuf_add(out, ": ");
	quote_yaml(pair->value, out);
}

const struct value_type value_pairs = {
	.metavar = "NAME=VALUE",
	.allowed = "a mapping of names to texts",
	.from_text = list_from_text,
	.from_node = list_from_node,
	.print = pair_print,
	.item_size = sizeof(struct pair),
	.brackets = "{}",
	.add = add_pair,
	.add_entry = add_pair_entry,
};

static bool executables_from_node(const struct value_target *target, const struct yaml_node *node,
				  void *field)
{
	struct value_list given = { 0 }, list = copy(target, field);
	const struct pair *pairs;
	bool ok = true;

	if (scalar_type(node) == SCALAR_NULL || !list_from_node(target, node, &given))
		return false;
	pairs = given.items;
	for (size_t i = 0; ok && i < given.n; i++)
		ok = set_executable(target, &list, pairs[i]);
	return store(target, ok, &list, field);
}

const struct value_type value_executables = {
	.metavar = "NAME:PATH[,NAME:PATH...]",
	.allowed = "a mapping of iptables' programs to paths",
	.from_text = list_from_text,
	.from_node = executables_from_node,
	.print = pair_print,
	.item_size = sizeof(struct pair),
	.brackets = "{}",
	.add = add_pair,
	.add_entry = add_pair_entry,
};
