/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "common/base/parse.h"
#include "common/plan/plan.h"
#include "daemon/direct_xml.h"

static bool begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether one of the options in `options` (up to NULL) is followed by a word with the prefix. */
static bool follows(const struct string_list *words, const char *const *options, const char *prefix)
{
	for (size_t i = 0; i + 1 < words->n; i++)
		for (const char *const *o = options; *o; o++)
			if (strcmp(words->items[i], *o) == 0 && begins(words->items[i + 1], prefix))
				return true;
	return false;
}

static bool priority_is_ours(const struct direct_element *element)
{
	const char *digits = element->priority + (element->priority[0] == '-');
	uint64_t value;

	if (!parse_decimal(digits, INT32_MAX, &value))
		return false;
	return firewalld_priority_is_ours(digits == element->priority ? (int64_t)value
								      : -(int64_t)value);
}

/* Whether it is in a chain that we put rules into beside those of others. */
static bool is_shared(const struct direct_element *element)
{
	if (strcmp(element->chain, "PREROUTING") != 0 && strcmp(element->chain, "OUTPUT") != 0)
		return false;
	for (enum table table = 0; table < TABLE_COUNT; table++)
		if (strcmp(element->table, table_name(table)) == 0)
			return true;
	return false;
}

bool direct_is_own(const struct direct_element *element)
{
	static const char *const comment[] = { "--comment", NULL };
	static const char *const jumps[] = { "-j", "--jump", "-g", "--goto", NULL };

	if (begins(element->chain, KUMA_MESH_PREFIX))
		return true;
	if (!element->is_rule)
		return false;
	return follows(&element->words, jumps, KUMA_MESH_PREFIX) ||
	       follows(&element->words, comment, COMMENT_PREFIX) ||
	       (is_shared(element) && priority_is_ours(element));
}

/* Entries to be written, with their arguments split once. */
struct wanted {
	const struct firewalld_entries *entries;
	struct string_list *words;
};

static bool words_equal(const struct string_list *a, const struct string_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* Whether it says, at whatever priority, what one of ours will say. Only the chains shared with
 * others matter: all that is in our own is ours. */
static bool is_wanted(const struct direct_element *element, const struct wanted *wanted)
{
	if (!element->is_rule || !wanted->words)
		return false;
	for (size_t i = 0; i < wanted->entries->n; i++) {
		const struct firewalld_entry *entry = &wanted->entries->items[i];

		if (entry->args && strcmp(element->ipv, firewalld_ipv(entry->family)) == 0 &&
		    strcmp(element->table, table_name(entry->table)) == 0 &&
		    strcmp(element->chain, entry->chain) == 0 &&
		    words_equal(&element->words, &wanted->words[i]))
			return true;
	}
	return false;
}

/* Where an element's own line begins, or the element where something else is in front of it. */
static size_t cut_begin(const char *text, const struct direct_element *element)
{
	size_t at = element->begin;

	while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
		at--;
	if (at == 0 || text[at - 1] != '\n')
		return element->begin;
	return at > 1 && text[at - 2] == '\r' ? at - 2 : at - 1;
}

static void print_entries(const struct firewalld_entries *entries, struct strbuf *out)
{
	for (size_t i = 0; i < entries->n; i++) {
		strbuf_add(out, "\n  ");
		print_firewalld_entry(&entries->items[i], out);
	}
}

/* The part from `from` to `to`, without what is ours. Elements are in the text's order. */
static size_t copy(const char *text, size_t from, size_t to, const struct direct_document *document,
		   const struct wanted *wanted, struct strbuf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < document->n; i++) {
		const struct direct_element *element = &document->items[i];
		size_t begin = cut_begin(text, element);

		if (element->begin < from || element->end > to ||
		    (!direct_is_own(element) && !is_wanted(element, wanted)))
			continue;
		strbuf_add_len(out, text + from, begin - from);
		from = element->end;
		n++;
	}
	strbuf_add_len(out, text + from, to - from);
	return n;
}

size_t direct_replace(struct arena *arena, const char *text, size_t len,
		      const struct direct_document *document,
		      const struct firewalld_entries *entries, struct strbuf *out)
{
	struct wanted wanted = { .entries = entries };
	size_t at = document->insert_at, n;

	wanted.words = arena_alloc(arena, (entries->n + 1) * sizeof(*wanted.words));
	for (size_t i = 0; wanted.words && i < entries->n; i++)
		if (entries->items[i].args)
			direct_split(arena, entries->items[i].args, &wanted.words[i]);
	if (arena->failed) {
		out->failed = true;
		return 0;
	}
	n = copy(text, 0, at, document, &wanted, out);
	if (document->root_empty && entries->n > 0) {
		strbuf_addc(out, '>');
		print_entries(entries, out);
		strbuf_add(out, "\n</direct>");
		at += strlen("/>");
	} else {
		print_entries(entries, out);
	}
	strbuf_add_len(out, text + at, len - at);
	return n;
}
