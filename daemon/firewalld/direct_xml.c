/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewalld/direct_xml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <expat.h>

#include "common/base/array.h"
#include "common/plan/plan.h"

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
