/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/yaml.h"

#include <stdint.h>
#include <string.h>
#include <yaml.h>

#include "common/base/array.h"
#include "common/base/base64.h"
#include "common/config/quote.h"
#include "common/config/scalar.h"

#define MISTAKES_MAX 100 /* nobody reads more */
#define CORE_TAG     "tag:yaml.org,2002:"

/* The places of explicit tags, which libyaml's documents do not tell from absent ones. */
struct tag_list {
	size_t *items; /* characters from the start, ascending */
	size_t n;
};

struct loader {
	struct arena *arena;
	struct diag_list *diags;
	const char *name;
	const char *text;
	size_t len;
	struct tag_list tags;
	unsigned shared; /* anchors, aliases and %TAG lines */
	unsigned mistakes;
	bool broken; /* a mistake was found */
};

static void complain(struct loader *l, size_t line, size_t column, const char *fmt, ...)
	_printf_(4, 5);

static void complain(struct loader *l, size_t line, size_t column, const char *fmt, ...)
{
	struct diag diag = {
		.origin = { ORIGIN_FILE, l->name, (unsigned)line, (unsigned)column },
	};
	va_list args;

	l->broken = true;
	if (l->mistakes++ >= MISTAKES_MAX)
		return;
	va_start(args, fmt);
	diag_vadd(l->diags, diag, fmt, args);
	va_end(args);
}

#define AT(mark) (mark).line + 1, (mark).column + 1

/* Complains about the byte at offset. */
static void complain_at_byte(struct loader *l, size_t offset, const char *what)
{
	size_t line = 1, start = 0;

	for (size_t i = 0; i < offset && i < l->len; i++) {
		if (l->text[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	complain(l, line, offset - start + 1, "%s", what);
}

/* Whether a tab stands in the indentation of that line (from 0): YAML's own sentence does not say
 * so. */
static bool has_tab_indentation(const struct loader *l, size_t line)
{
	const char *p = l->text;

	while (p && line--) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	return p && p[strspn(p, " ")] == '\t';
}

static void complain_of_syntax(struct loader *l, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "unknown";

	if (parser->error == YAML_MEMORY_ERROR) {
		l->arena->failed = true;
		l->broken = true;
	} else if (parser->error == YAML_READER_ERROR) {
		complain_at_byte(l, parser->problem_offset,
				 arena_printf(l->arena, "not YAML: %s", problem));
	} else if (has_tab_indentation(l, parser->problem_mark.line)) {
		complain(l, AT(parser->problem_mark),
			 "not YAML: a tab in the indentation; indent with blanks");
	} else if (parser->context) {
		complain(l, AT(parser->problem_mark), "not YAML: %s (%s that begins in line %zu)",
			 problem, parser->context, parser->context_mark.line + 1);
	} else {
		complain(l, AT(parser->problem_mark), "not YAML: %s", problem);
	}
}

static void start_parser(struct loader *l, yaml_parser_t *parser)
{
	if (!yaml_parser_initialize(parser)) {
		l->arena->failed = true;
		l->broken = true;
		return;
	}
	yaml_parser_set_input_string(parser, (const unsigned char *)l->text, l->len);
}

/* What one token says that a document no longer tells. Returns whether to go on. */
static bool look_at_token(struct loader *l, const yaml_token_t *token, bool *after_comma,
			  unsigned *depth)
{
	bool comma = false;

	switch ((int)token->type) {
	case YAML_TAG_TOKEN:
		array_push(l->arena, &l->tags, token->start_mark.index);
		break;
	case YAML_FLOW_ENTRY_TOKEN:
		comma = true;
		break;
	case YAML_ANCHOR_TOKEN:
	case YAML_ALIAS_TOKEN:
	case YAML_TAG_DIRECTIVE_TOKEN:
		if (++l->shared > YAML_SHARED_MAX) {
			complain(l, AT(token->start_mark),
				 "more than %d anchors (&), aliases (*) and %%TAG lines",
				 YAML_SHARED_MAX);
			return false;
		}
		break;
	case YAML_FLOW_SEQUENCE_START_TOKEN:
	case YAML_FLOW_MAPPING_START_TOKEN:
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
	case YAML_BLOCK_MAPPING_START_TOKEN:
		if (++*depth > YAML_DEPTH_MAX) {
			complain(l, AT(token->start_mark), "nested deeper than %d levels",
				 YAML_DEPTH_MAX);
			return false;
		}
		break;
	case YAML_FLOW_SEQUENCE_END_TOKEN:
	case YAML_FLOW_MAPPING_END_TOKEN:
		if (*after_comma)
			complain(l, AT(token->start_mark),
				 "an item is missing between the comma and the bracket");
		--*depth;
		break;
	case YAML_BLOCK_END_TOKEN:
		--*depth;
		break;
	case YAML_NO_TOKEN:
	case YAML_STREAM_END_TOKEN:
		return false;
	default:
		break;
	}
	*after_comma = comma;
	return true;
}

/* Goes over the tokens before anything is built. Depth and anchors are limited here because libyaml's
 * effort grows with the square of them. Syntax errors are left to the parser, which
 * describes them better. */
static void scan(struct loader *l)
{
	bool after_comma = false, more = true;
	yaml_parser_t parser;
	unsigned depth = 0;

	start_parser(l, &parser);
	while (more && !l->broken) {
		yaml_token_t token;

		if (!yaml_parser_scan(&parser, &token))
			break;
		more = look_at_token(l, &token, &after_comma, &depth);
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&parser);
}

/* Decodes base64, blanks and padding ignored; NULL when it is none or contains a NUL. */
static const char *decode_base64(struct arena *arena, const char *text)
{
	char *packed = arena_alloc(arena, strlen(text) + 1);
	char *out = arena_alloc(arena, strlen(text) + 1);
	size_t len = 0, n;

	if (!packed || !out)
		return NULL;
	for (; *text && *text != '='; text++)
		if (!strchr(" \t\r\n", *text))
			packed[len++] = *text;
	if (text[strspn(text, "= \t\r\n")] ||
	    !base64_decode(packed, len, BASE64_STANDARD, (unsigned char *)out, &n))
		return NULL;
	return strlen(out) == n ? out : NULL;
}

static void refuse_tag(struct loader *l, const struct yaml_node *node, const char *tag)
{
	complain(l, node->line, node->column, "the tag %s cannot be used here",
		 quote_text(l->arena, tag));
}

/* Applies a tag other than text's to a scalar. */
static void apply_tag(struct loader *l, const char *tag, struct yaml_node *node)
{
	static const struct {
		const char *name;
		enum scalar_type type;
	} tags[] = {
		{ CORE_TAG "null", SCALAR_NULL },
		{ CORE_TAG "bool", SCALAR_BOOL },
		{ CORE_TAG "int", SCALAR_NUMBER },
		{ CORE_TAG "float", SCALAR_NUMBER },
	};

	node->plain = true;
	for (size_t i = 0; i < ELEMENTS(tags); i++) {
		if (strcmp(tag, tags[i].name) != 0)
			continue;
		if (scalar_type(node) != tags[i].type)
			complain(l, node->line, node->column, "%s is not what its tag !!%s says",
				 quote_text(l->arena, node->text), tag + strlen(CORE_TAG));
		return;
	}
	node->plain = false;
	node->text =
		strcmp(tag, CORE_TAG "binary") == 0 ? decode_base64(l->arena, node->text) : NULL;
	if (!node->text)
		refuse_tag(l, node, tag);
}

/* Whether a tag is written in front of that scalar; scalars are asked about in their order. */
static bool has_tag(const struct loader *l, const yaml_node_t *from, size_t *next)
{
	while (*next < l->tags.n && l->tags.items[*next] < from->start_mark.index)
		++*next;
	return *next < l->tags.n && l->tags.items[*next] < from->end_mark.index;
}

static void convert_scalar(struct loader *l, const yaml_node_t *from, bool tagged,
			   struct yaml_node *to)
{
	const char *text = (const char *)from->data.scalar.value;
	const char *tag = (const char *)from->tag;

	to->kind = NODE_SCALAR;
	to->text = arena_strndup(l->arena, text, from->data.scalar.length);
	to->plain = from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !tagged;
	if (strlen(text) != from->data.scalar.length)
		complain(l, AT(from->start_mark), "a NUL character in a text");
	else if (to->text && strcmp(tag, YAML_STR_TAG) != 0)
		apply_tag(l, tag, to);
}

static void convert_collection(struct loader *l, const yaml_node_t *from, struct yaml_node *nodes,
			       struct yaml_node *to)
{
	const bool sequence = from->type == YAML_SEQUENCE_NODE;
	const yaml_node_item_t *item = from->data.sequence.items.start;
	const yaml_node_pair_t *pair = from->data.mapping.pairs.start;
	const char *tag = (const char *)from->tag;

	to->kind = sequence ? NODE_SEQUENCE : NODE_MAPPING;
	to->n = (size_t)(sequence ? from->data.sequence.items.top - item
				  : from->data.mapping.pairs.top - pair);
	to->entries = arena_alloc(l->arena, to->n * sizeof(*to->entries));
	for (size_t i = 0; to->entries && i < to->n; i++) {
		if (!sequence)
			to->entries[i].key = &nodes[pair[i].key - 1];
		to->entries[i].value = &nodes[(sequence ? item[i] : pair[i].value) - 1];
	}
	if (strcmp(tag, sequence ? YAML_SEQ_TAG : YAML_MAP_TAG) != 0)
		refuse_tag(l, to, tag);
}

/* Every node once, in the document's order; the first is the root. */
static const struct yaml_node *convert(struct loader *l, const yaml_document_t *doc)
{
	size_t n = (size_t)(doc->nodes.top - doc->nodes.start);
	struct yaml_node *nodes = arena_alloc(l->arena, n * sizeof(*nodes));
	size_t next_tag = 0;

	for (size_t i = 0; nodes && i < n; i++) {
		const yaml_node_t *from = &doc->nodes.start[i];

		nodes[i].line = (unsigned)from->start_mark.line + 1;
		nodes[i].column = (unsigned)from->start_mark.column + 1;
		if (from->type == YAML_SCALAR_NODE)
			convert_scalar(l, from, has_tag(l, from, &next_tag), &nodes[i]);
		else
			convert_collection(l, from, nodes, &nodes[i]);
	}
	return n ? nodes : NULL;
}

static const struct yaml_node *parse(struct loader *l)
{
	const struct yaml_node *root = NULL;
	yaml_parser_t parser;
	yaml_document_t doc;
	yaml_node_t *second;

	start_parser(l, &parser);
	if (l->broken)
		return NULL;
	if (!yaml_parser_load(&parser, &doc)) {
		complain_of_syntax(l, &parser);
		yaml_parser_delete(&parser);
		return NULL;
	}
	/* Numbers and switches are read by YAML 1.1's rules; kumactl refuses others too. */
	if (doc.version_directive && doc.version_directive->minor != 1)
		complain(l, 1, 1, "YAML %d.%d cannot be used: write %%YAML 1.1, or nothing",
			 doc.version_directive->major, doc.version_directive->minor);
	root = convert(l, &doc);
	yaml_document_delete(&doc);
	if (root && !yaml_parser_load(&parser, &doc)) {
		complain_of_syntax(l, &parser);
	} else if (root) {
		second = yaml_document_get_root_node(&doc);
		if (second)
			complain(l, AT(second->start_mark), "a second document; a file holds one");
		yaml_document_delete(&doc);
	}
	yaml_parser_delete(&parser);
	return root;
}

bool yaml_load(struct arena *arena, const char *name, const char *text, size_t len,
	       const struct yaml_node **ret, struct diag_list *diags)
{
	struct loader l = {
		.arena = arena, .diags = diags, .name = name, .text = text, .len = len
	};
	const char *nul = memchr(text, 0, len);
	const struct yaml_node *root = NULL;

	if (len > YAML_SIZE_MAX)
		complain(&l, 0, 0, "longer than %zu bytes", YAML_SIZE_MAX);
	else if (nul)
		complain_at_byte(&l, (size_t)(nul - text), "a NUL byte; this is not a text file");
	if (!l.broken)
		scan(&l);
	if (!l.broken)
		root = parse(&l);
	if (l.broken || arena->failed)
		return false;
	*ret = root;
	return true;
}
