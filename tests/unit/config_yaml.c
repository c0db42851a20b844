/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/config/scalar.h"
#include "common/config/yaml.h"

struct document {
	struct arena arena;
	struct diag_list diags;
	const struct yaml_node *root;
	bool ok;
};

static void document_done(struct document *d)
{
	arena_done(&d->arena);
}
#define _document_ _cleanup_(document_done)

static void load_len(struct document *d, const char *text, size_t len)
{
	memset(d, 0, sizeof(*d));
	d->diags.arena = &d->arena;
	d->ok = yaml_load(&d->arena, "t", text, len, &d->root, &d->diags);
	cr_assert_eq(d->ok, d->diags.n_errors == 0);
}

static void load(struct document *d, const char *text)
{
	load_len(d, text, strlen(text));
}

static void refuse(const char *text, unsigned line, unsigned column, const char *part)
{
	_document_ struct document d;

	load(&d, text);
	cr_assert_not(d.ok, "%s", text);
	cr_assert_eq(d.diags.items[0].origin.line, line, "%s: line %u", text,
		     d.diags.items[0].origin.line);
	cr_assert_eq(d.diags.items[0].origin.column, column, "%s: column %u", text,
		     d.diags.items[0].origin.column);
	cr_assert(strstr(d.diags.items[0].text, part), "%s: %s", text, d.diags.items[0].text);
}

Test(yaml, takes_files_that_say_nothing)
{
	static const char *const texts[] = { "", "\n", "# nothing\n", "---\n", "null\n", "~" };

	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		_document_ struct document d;

		load(&d, texts[i]);
		cr_assert(d.ok, "%s", texts[i]);
		if (d.root)
			cr_assert_eq(scalar_type(d.root), SCALAR_NULL);
	}
}

Test(yaml, gives_every_node_its_place_from_one)
{
	_document_ struct document d;
	const struct yaml_node *list;

	load(&d, "a: 1\nb:\n  - x\n  - {c: \"d\"}\n");
	cr_assert(d.ok);
	cr_assert_eq(d.root->kind, NODE_MAPPING);
	cr_assert_eq(d.root->n, 2);
	cr_assert_eq(d.root->entries[0].value->line, 1);
	cr_assert_eq(d.root->entries[0].value->column, 4);
	list = d.root->entries[1].value;
	cr_assert_eq(list->kind, NODE_SEQUENCE);
	cr_assert_eq(list->n, 2);
	cr_assert_null(list->entries[0].key);
	cr_assert_eq(list->entries[0].value->line, 3);
	cr_assert_eq(list->entries[0].value->column, 5);
	cr_assert(list->entries[0].value->plain);
	cr_assert_not(list->entries[1].value->entries[0].value->plain);
	cr_assert_str_eq(list->entries[1].value->entries[0].value->text, "d");
}

Test(yaml, reads_json)
{
	_document_ struct document d;

	load(&d, "{\n\t\"a\": [1, \"\\u00e9\", true],\n\t\"b\": {\"c\": null}\n}\n");
	cr_assert(d.ok, "%s", d.diags.n ? d.diags.items[0].text : "");
	cr_assert_str_eq(d.root->entries[0].value->entries[1].value->text, "\xc3\xa9");
}

Test(yaml, takes_all_kinds_of_line_breaks_and_a_byte_order_mark)
{
	_document_ struct document d;

	load(&d, "\xef\xbb\xbf"
		 "a: 1\r\nb: 2\rc: 3\xc2\x85"
		 "d: 4\xe2\x80\xa8"
		 "e: 5");
	cr_assert(d.ok, "%s", d.diags.n ? d.diags.items[0].text : "");
	cr_assert_eq(d.root->n, 5);
}

Test(yaml, resolves_aliases_to_the_same_node)
{
	_document_ struct document d;

	load(&d, "a: &x {b: 1}\nc: *x\n");
	cr_assert(d.ok);
	cr_assert_eq(d.root->entries[0].value, d.root->entries[1].value);
}

Test(yaml, survives_a_node_that_contains_itself)
{
	_document_ struct document d;

	load(&d, "a: &x [*x]\n");
	if (d.ok)
		cr_assert_eq(d.root->entries[0].value->kind, NODE_SEQUENCE);
}

Test(yaml, refuses_a_second_document_where_it_begins)
{
	refuse("a: 1\n---\nb: 2\n", 3, 1, "second document");
	refuse("---\n---\nb: 2\n", 3, 1, "second document");
	refuse("%YAML 1.2\n---\na: 1\n", 1, 1, "write %YAML 1.1");
	refuse("{\"a\": 1}\n{\"b\": 2}\n", 2, 1, "not YAML");
	refuse("a: 1\n...\n]\n", 3, 1, "not YAML");
}

Test(yaml, refuses_broken_syntax_with_its_place)
{
	refuse("a: [1, 2\nb: 3\n", 2, 2, "not YAML");
	refuse("a: 1\n b: 2\n", 2, 3, "not YAML: mapping values are not allowed");
	refuse("a:\n\tb: 1\n", 2, 1, "a tab in the indentation");
	refuse("a: \"x\n", 2, 1, "not YAML");
	refuse("a: *nobody\n", 1, 4, "not YAML");
	refuse("[fe80::1, ::1]\n", 1, 11, "not YAML");
}

Test(yaml, refuses_what_is_no_text)
{
	_document_ struct document d;

	load_len(&d, "a: 1\nb: \0", 9);
	cr_assert_not(d.ok);
	cr_assert_eq(d.diags.items[0].origin.line, 2);
	cr_assert_eq(d.diags.items[0].origin.column, 4);
	refuse("a: x\x7f\n", 1, 5, "not YAML");
	refuse("b: 1\na: \f\n", 2, 4, "not YAML");
	refuse("a: \xe9\n", 1, 4, "not YAML");
	refuse("a: \"x\\0y\"\n", 1, 4, "NUL");
}

Test(yaml, refuses_a_comma_with_nothing_behind_it)
{
	refuse("a: [1, 2,]\n", 1, 10, "an item is missing");
	refuse("{\"a\": 1, # more\n}\n", 2, 1, "an item is missing");
	refuse("{a: [1,], b: {c: d,}}", 1, 8, "an item is missing");
}

Test(yaml, refuses_tags_that_mean_nothing_here)
{
	refuse("a: !mine x\n", 1, 4, "tag \"!mine\"");
	refuse("a: !!set {b}\n", 1, 4, "tag");
	refuse("a: !!int x\n", 1, 4, "tag !!int");
	refuse("a: !!bool \"maybe\"\n", 1, 4, "tag !!bool");
	refuse("a: !!binary \"*\"\n", 1, 4, "tag");
	refuse("a: !!binary AAAA\n", 1, 4, "tag");
}

Test(yaml, keeps_explicit_text_from_being_anything_else)
{
	_document_ struct document d;

	load(&d, "a: !!str yes\nb: yes\nc: &x yes\nd: ! 1\ne: &y !!str 1\nf: !!str &z 1\n"
		 "\xc3\xa9: !!str 1\ng: 1\nh: !!seq [1, !!str 2]\ni: !!map {j: 3}\n");
	cr_assert(d.ok, "%s", d.diags.n ? d.diags.items[0].text : "");
	cr_assert_not(d.root->entries[0].value->plain);
	cr_assert(d.root->entries[1].value->plain);
	cr_assert(d.root->entries[2].value->plain);
	cr_assert_not(d.root->entries[3].value->plain);
	cr_assert_not(d.root->entries[4].value->plain);
	cr_assert_not(d.root->entries[5].value->plain);
	cr_assert_not(d.root->entries[6].value->plain);
	cr_assert(d.root->entries[7].value->plain);
	cr_assert(d.root->entries[8].value->entries[0].value->plain);
	cr_assert_not(d.root->entries[8].value->entries[1].value->plain);
	cr_assert(d.root->entries[9].value->entries[0].value->plain);
}

static char *repeat(struct arena *arena, const char *open, size_t n, const char *middle,
		    const char *close)
{
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < n; i++)
		strbuf_add(&text, open);
	strbuf_add(&text, middle);
	for (size_t i = 0; i < n; i++)
		strbuf_add(&text, close);
	return arena_strdup(arena, strbuf_text(&text));
}

Test(yaml, nests_sixteen_levels_and_no_more)
{
	struct arena arena = { 0 };
	_document_ struct document d;

	load(&d, repeat(&arena, "[", YAML_DEPTH_MAX, "1", "]"));
	cr_assert(d.ok);
	refuse(repeat(&arena, "[", YAML_DEPTH_MAX + 1, "1", "]"), 1, YAML_DEPTH_MAX + 1,
	       "nested deeper than 16 levels");
	refuse(repeat(&arena, "- ", YAML_DEPTH_MAX + 1, "1", ""), 1, 2 * YAML_DEPTH_MAX + 1,
	       "nested deeper");
	arena_done(&arena);
}

Test(yaml, refuses_deep_nesting_before_it_costs_anything, .timeout = 10)
{
	struct arena arena = { 0 };

	refuse(repeat(&arena, "{a: ", 200000, "1", ""), 1, 4 * YAML_DEPTH_MAX + 1, "nested deeper");
	arena_done(&arena);
}

/* A line for each number below n. */
static char *many(struct arena *arena, const char *before, size_t n, const char *after)
{
	struct strbuf out = { 0 };
	char *text;

	for (size_t i = 0; i < n; i++)
		strbuf_addf(&out, "%s%zu%s\n", before, i, after);
	text = arena_strdup(arena, strbuf_text(&out));
	strbuf_done(&out);
	return text;
}

Test(yaml, refuses_more_anchors_than_anybody_needs_before_they_cost_anything, .timeout = 10)
{
	struct arena arena = { 0 };
	_document_ struct document d;

	load(&d, many(&arena, "- &a", YAML_SHARED_MAX, " x"));
	cr_expect(d.ok);
	refuse(many(&arena, "- &a", 70000, " x"), YAML_SHARED_MAX + 1, 3,
	       "more than 256 anchors (&), aliases (*) and %TAG lines");
	refuse(many(&arena, "- *a", 100000, ""), YAML_SHARED_MAX + 1, 3, "more than 256");
	refuse(many(&arena, "%TAG !a", 50000, "! x"), YAML_SHARED_MAX + 1, 1, "more than 256");
	arena_done(&arena);
}

Test(yaml, tells_no_more_mistakes_than_anybody_reads)
{
	struct arena arena = { 0 };
	_document_ struct document d;

	load(&d, many(&arena, "- !a b", 1000, ""));
	cr_expect_not(d.ok);
	cr_expect_eq(d.diags.n, 100);
	arena_done(&arena);
}

Test(yaml, takes_a_mebibyte_and_no_more)
{
	_document_ struct document d, e;
	static char text[YAML_SIZE_MAX + 2];

	memset(text, '#', sizeof(text) - 1);
	load_len(&d, text, YAML_SIZE_MAX);
	cr_assert(d.ok);
	load_len(&e, text, YAML_SIZE_MAX + 1);
	cr_assert_not(e.ok);
	cr_assert(strstr(e.diags.items[0].text, "longer than 1048576 bytes"));
}
