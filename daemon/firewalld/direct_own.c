/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "common/rules/shape_parse.h"
#include "daemon/firewalld/direct_xml.h"

static bool priority_is_ours(const struct direct_element *element)
{
	long long priority;
	char rest;

	return sscanf(element->priority, "%18lld%c", &priority, &rest) == 1 &&
	       firewalld_priority_is_ours(priority);
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
	struct shape shape;

	if (mesh_chain(element->chain))
		return true;
	if (!element->is_rule)
		return false;
	shape_parse(element->words.items, element->words.n, &shape);
	return shape.ours || (is_shared(element) && priority_is_ours(element));
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

/* The part from `from` to `to`, without what is ours. Elements are in the text's order. */
static size_t copy(const char *text, size_t from, size_t to, const struct direct_document *document,
		   struct strbuf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < document->n; i++) {
		const struct direct_element *element = &document->items[i];
		size_t begin = cut_begin(text, element);

		if (element->begin < from || element->end > to || !direct_is_own(element))
			continue;
		strbuf_add_len(out, text + from, begin - from);
		from = element->end;
		n++;
	}
	strbuf_add_len(out, text + from, to - from);
	return n;
}

size_t direct_replace(const char *text, size_t len, const struct direct_document *document,
		      const struct firewalld_entries *entries, struct strbuf *out)
{
	size_t at = document->insert_at, n = copy(text, 0, at, document, out);
	bool fill = document->root_empty && entries->n > 0;

	if (fill)
		strbuf_addc(out, '>');
	for (size_t i = 0; i < entries->n; i++) {
		strbuf_add(out, "\n  ");
		print_firewalld_entry(&entries->items[i], out);
	}
	if (fill) {
		strbuf_add(out, "\n</direct>");
		at += strlen("/>");
	}
	strbuf_add_len(out, text + at, len - at);
	return n;
}
