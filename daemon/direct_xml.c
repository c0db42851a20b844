/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/direct_xml.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "common/base/array.h"
#include "common/plan/plan.h"

/* What the parser's callbacks share. Nothing is resolved, fetched or expanded: there are no
 * callbacks for entities and external subsets. */
struct reading {
	struct arena *arena;
	xmlParserCtxtPtr parser;
	const char *text;
	size_t len;
	struct direct_document *document;
	unsigned depth;
	size_t root_begin;
	bool inside; /* of the last element of the document */
	struct strbuf args;
	struct error error; /* the first one */
};

static void fail(struct reading *r, const char *what)
{
	if (!r->error.code)
		(void)error_set(&r->error, -EBADMSG, "%s", what);
	xmlStopParser(r->parser);
}

/* What the parser has consumed when it tells of a tag: all of it but what closes a start tag. */
static size_t position(struct reading *r)
{
	long n = xmlByteConsumed(r->parser);

	return n < 0 || (size_t)n > r->len ? 0 : (size_t)n;
}

/* Where the tag begins that the parser has just read. There is no "<" within a tag. */
static bool tag_begin(struct reading *r, size_t end, const char *open, const char *name,
		      size_t *ret)
{
	const char *begin = memrchr(r->text, '<', end);
	size_t open_len = strlen(open), name_len = strlen(name);

	if (!begin || r->text + r->len < begin + open_len + name_len ||
	    memcmp(begin, open, open_len) != 0 || memcmp(begin + open_len, name, name_len) != 0) {
		/* The parser counts in UTF-8, whatever the file is in. */
		fail(r, "cannot be followed byte by byte: it is not plain UTF-8");
		return false;
	}
	*ret = (size_t)(begin - r->text);
	return true;
}

/* libxml2 gives five pointers for each: name, prefix, URI, value, its end. */
static const char *attribute(struct arena *arena, const xmlChar **attributes, int n,
			     const char *name)
{
	for (int i = 0; i < n; i++, attributes += 5) {
		const char *value = (const char *)attributes[3];

		if (strcmp((const char *)attributes[0], name) == 0 && !attributes[1]) {
			value = arena_strndup(arena, value,
					      (size_t)((const char *)attributes[4] - value));
			return value ? value : "";
		}
	}
	return "";
}

static void start_root(struct reading *r, const char *name, const xmlChar *prefix)
{
	char what[128];

	if (prefix || strcmp(name, "direct") != 0) {
		(void)snprintf(what, sizeof(what),
			       "is no direct configuration of firewalld: its root is <%.64s>",
			       name);
		fail(r, what);
		return;
	}
	(void)tag_begin(r, position(r), "<", name, &r->root_begin);
}

static void on_start(void *userdata, const xmlChar *local, const xmlChar *prefix,
		     const xmlChar *uri _unused_, int n_namespaces _unused_,
		     const xmlChar **namespaces _unused_, int n, int n_defaulted _unused_,
		     const xmlChar **attributes)
{
	const char *name = (const char *)local;
	struct reading *r = userdata;
	struct direct_element element = { .is_rule = strcmp(name, "rule") == 0 };

	r->depth++;
	if (r->depth == 1)
		start_root(r, name, prefix);
	if (r->depth != 2 || prefix || (!element.is_rule && strcmp(name, "chain") != 0))
		return;
	if (!tag_begin(r, position(r), "<", name, &element.begin))
		return;
	element.ipv = attribute(r->arena, attributes, n, "ipv");
	element.table = attribute(r->arena, attributes, n, "table");
	element.chain = attribute(r->arena, attributes, n, "chain");
	element.priority = attribute(r->arena, attributes, n, "priority");
	array_push(r->arena, r->document, element);
	r->inside = true;
	strbuf_done(&r->args);
}

static void end_root(struct reading *r, size_t end)
{
	size_t begin;

	if (end == 0 || r->text[end - 1] != '>' || !tag_begin(r, end, "<", "", &begin))
		return;
	r->document->root_empty = begin == r->root_begin;
	if (r->document->root_empty) {
		r->document->insert_at = end - 2;
		return;
	}
	while (begin > 0 && strchr(" \t\r\n", r->text[begin - 1]))
		begin--;
	r->document->insert_at = begin;
}

static void on_end(void *userdata, const xmlChar *local _unused_, const xmlChar *prefix _unused_,
		   const xmlChar *uri _unused_)
{
	struct reading *r = userdata;
	size_t end = position(r);

	r->depth--;
	if (r->depth == 0)
		end_root(r, end);
	if (r->depth != 1 || !r->inside || r->document->n == 0)
		return;
	r->inside = false;
	r->document->items[r->document->n - 1].end = end;
	if (end == 0 || r->text[end - 1] != '>')
		fail(r, "cannot be followed byte by byte: it is not plain UTF-8");
	direct_split(r->arena, strbuf_text(&r->args),
		     &r->document->items[r->document->n - 1].words);
}

static void on_characters(void *userdata, const xmlChar *text, int len)
{
	struct reading *r = userdata;

	if (r->inside && len > 0)
		strbuf_add_len(&r->args, (const char *)text, (size_t)len);
}

static void on_error(void *userdata, xmlErrorPtr error)
{
	struct reading *r = userdata;
	const char *message = error->message ? error->message : "not XML";

	if (error->level == XML_ERR_WARNING || r->error.code)
		return;
	(void)error_set(&r->error, -EBADMSG, "line %d: %.*s", error->line,
			(int)strcspn(message, "\n"), message);
}

static int parse(struct reading *r, struct error *err)
{
	static const xmlSAXHandler handler = {
		.initialized = XML_SAX2_MAGIC,
		.startElementNs = on_start,
		.endElementNs = on_end,
		.characters = on_characters,
		.ignorableWhitespace = on_characters,
		.cdataBlock = on_characters,
		.serror = on_error,
	};
	bool complete;

	r->parser = xmlCreateMemoryParserCtxt(r->text, (int)r->len);
	if (!r->parser)
		return error_sys(err, -ENOMEM, "read it");
	*r->parser->sax = handler;
	r->parser->userData = r;
	(void)xmlCtxtUseOptions(r->parser, XML_PARSE_NONET);
	complete = xmlParseDocument(r->parser) == 0 && r->parser->wellFormed;
	/* Made for the declarations of entities, if there are any. */
	xmlFreeDoc(r->parser->myDoc);
	r->parser->myDoc = NULL;
	xmlFreeParserCtxt(r->parser);
	if (r->error.code)
		return error_set(err, r->error.code, "%s", r->error.text);
	if (!complete)
		return error_set(err, -EBADMSG, "is no XML");
	if (r->args.failed || r->arena->failed)
		return error_sys(err, -ENOMEM, "read it");
	return 0;
}

int direct_parse(struct arena *arena, const char *text, size_t len, struct direct_document *ret,
		 struct error *err)
{
	struct reading reading = { .arena = arena, .text = text, .len = len, .document = ret };
	int r;

	*ret = (struct direct_document){ 0 };
	if (len == 0)
		return error_set(err, -EBADMSG, "line 1: it is empty");
	if (len > INT_MAX)
		return error_set(err, -EFBIG, "is too large");
	r = parse(&reading, err);
	strbuf_done(&reading.args);
	return r;
}

void direct_split(struct arena *arena, const char *args, struct string_list *ret)
{
	_strbuf_ struct strbuf word = { 0 };
	bool in_word = false;
	char quote = 0;

	*ret = (struct string_list){ 0 };
	for (;; args++) {
		bool blank = *args && strchr(" \t\r\n", *args);

		if (!*args || (blank && !quote)) {
			if (in_word)
				array_push(arena, ret, arena_strdup(arena, strbuf_text(&word)));
			if (!*args)
				break;
			strbuf_done(&word);
			in_word = false;
			continue;
		}
		in_word = true;
		if (quote && *args == quote)
			quote = 0;
		else if (!quote && (*args == '"' || *args == '\''))
			quote = *args;
		else if (*args == '\\' && quote != '\'' && args[1] &&
			 (!quote || args[1] == '"' || args[1] == '\\'))
			strbuf_addc(&word, *++args);
		else
			strbuf_addc(&word, *args);
	}
	if (word.failed)
		arena->failed = true;
}
