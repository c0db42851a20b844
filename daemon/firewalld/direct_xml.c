/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewalld/direct_xml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <expat.h>

#include "common/base/array.h"
#include "common/rules/shape_parse.h"

/* expat 2.8 has other names for what tells where the parser is, which Debian 12's lacks. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* What the parser's callbacks share. External entities are not read: that is expat's default. */
struct reading {
	struct arena *arena;
	XML_Parser parser;
	const char *text;
	size_t len;
	struct direct_document *document;
	unsigned depth;
	bool inside; /* of the last element of the document */
	struct strbuf args;
	struct error error; /* the first one */
};

static void fail(struct reading *r, const char *what)
{
	if (!r->error.code)
		(void)error_set(&r->error, -EBADMSG, "line %lu: %s",
				XML_GetCurrentLineNumber(r->parser), what);
	(void)XML_StopParser(r->parser, XML_FALSE);
}

/* Where the tag begins, or ends, that the parser has just read. */
static size_t tag_begin(const struct reading *r)
{
	return (size_t)XML_GetCurrentByteIndex(r->parser);
}

static size_t tag_end(const struct reading *r)
{
	return tag_begin(r) + (size_t)XML_GetCurrentByteCount(r->parser);
}

/* A tag can come from an entity, and the text can be in an encoding of wide characters: there is no
 * editing that byte by byte. */
static bool check_tag(struct reading *r, const char *name)
{
	size_t at = tag_begin(r), len = strlen(name);

	if (at < r->len && r->text[at] == '<' && len < r->len - at &&
	    memcmp(r->text + at + 1, name, len) == 0)
		return true;
	fail(r, at < r->len && r->text[at] == '&' ? "an entity stands for a tag"
						  : "its encoding is not UTF-8");
	return false;
}

/* expat gives names and values in turn. */
static const char *attribute(struct arena *arena, const XML_Char **attributes, const char *name)
{
	for (; *attributes; attributes += 2) {
		if (strcmp(attributes[0], name) == 0) {
			const char *value = arena_strdup(arena, attributes[1]);

			return value ? value : "";
		}
	}
	return "";
}

static void start_root(struct reading *r, const char *name)
{
	char what[128];

	if (strcmp(name, "direct") == 0)
		return;
	(void)snprintf(what, sizeof(what),
		       "no direct configuration of firewalld: the root is <%.64s>", name);
	fail(r, what);
}

static void XMLCALL on_start(void *userdata, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = userdata;
	struct direct_element element = { .is_rule = strcmp(name, "rule") == 0 };

	if (!check_tag(r, name))
		return;
	r->depth++;
	if (r->depth == 1)
		start_root(r, name);
	if (r->depth != 2 || (!element.is_rule && strcmp(name, "chain") != 0))
		return;
	element.begin = tag_begin(r);
	element.table = attribute(r->arena, attributes, "table");
	element.chain = attribute(r->arena, attributes, "chain");
	element.priority = attribute(r->arena, attributes, "priority");
	array_push(r->arena, r->document, element);
	r->inside = true;
	strbuf_done(&r->args);
}

/* Of "<direct/>" the end has no bytes of its own. */
static void end_root(struct reading *r)
{
	size_t at = tag_begin(r);

	r->document->root_empty = XML_GetCurrentByteCount(r->parser) == 0;
	if (r->document->root_empty) {
		r->document->insert_at = at - strlen("/>");
		return;
	}
	while (at > 0 && strchr(" \t\r\n", r->text[at - 1]))
		at--;
	r->document->insert_at = at;
}

static void XMLCALL on_end(void *userdata, const XML_Char *name _unused_)
{
	struct reading *r = userdata;

	r->depth--;
	if (r->depth == 0)
		end_root(r);
	if (r->depth != 1 || !r->inside || r->document->n == 0)
		return;
	r->inside = false;
	r->document->items[r->document->n - 1].end = tag_end(r);
	direct_split(r->arena, strbuf_text(&r->args),
		     &r->document->items[r->document->n - 1].words);
}

static void XMLCALL on_characters(void *userdata, const XML_Char *text, int len)
{
	struct reading *r = userdata;

	if (r->inside && len > 0)
		strbuf_add_len(&r->args, text, (size_t)len);
}

int direct_parse(struct arena *arena, const char *text, size_t len, struct direct_document *ret,
		 struct error *err)
{
	struct reading r = { .arena = arena, .text = text, .len = len, .document = ret };

	*ret = (struct direct_document){ 0 };
	if (len > INT_MAX)
		return error_set(err, -EFBIG, "is too large");
	r.parser = XML_ParserCreate(NULL);
	if (!r.parser)
		return error_sys(err, -ENOMEM, "read it");
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_characters);
	if (XML_Parse(r.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK)
		fail(&r, XML_ErrorString(XML_GetErrorCode(r.parser)));
	XML_ParserFree(r.parser);
	if (r.args.failed || arena->failed)
		(void)error_sys(&r.error, -ENOMEM, "read it");
	strbuf_done(&r.args);
	if (r.error.code)
		return error_set(err, r.error.code, "%s", r.error.text);
	return 0;
}

void direct_split(struct arena *arena, const char *args, struct string_list *ret)
{
	char *out = arena_strdup(arena, args), *word = NULL, quote = 0;

	*ret = (struct string_list){ 0 };
	for (; out; args++) {
		if (!*args || (!quote && strchr(" \t\r\n", *args))) {
			if (word) {
				*out++ = '\0';
				array_push(arena, ret, word);
			}
			word = NULL;
			if (!*args)
				return;
			continue;
		}
		word = word ? word : out;
		if (quote && *args == quote) {
			quote = 0;
		} else if (!quote && (*args == '"' || *args == '\'')) {
			quote = *args;
		} else {
			if (*args == '\\' && quote != '\'' && args[1] &&
			    (!quote || args[1] == '"' || args[1] == '\\'))
				args++;
			*out++ = *args;
		}
	}
}

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
