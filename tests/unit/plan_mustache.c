/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/mustache.h"

#include <string.h>

#include <criterion/criterion.h>

static struct arena arena;
static struct diag_list diags;

static void init(void)
{
	diags = (struct diag_list){ .arena = &arena };
}

static void done(void)
{
	arena_done(&arena);
}

TestSuite(mustache, .init = init, .fini = done);

static const struct pair vars[] = {
	{ "name", "web" },  { "html", "<a & \"b\" 'c'>" }, { "a.b", "inner" },
	{ "a.c", "other" }, { "name2", "second" },         { "empty", "" },
	{ ".Field", "Go" },
};

static char *fill(const char *text, enum severity unknown)
{
	struct pair_list list = { (struct pair *)(uintptr_t)vars, ELEMENTS(vars) };
	struct mustache template = {
		.path = "file",
		.text = text,
		.len = strlen(text),
		.vars = &list,
		.unknown = unknown,
	};

	return mustache_render(&arena, &template, &diags);
}

static void expect(const char *text, const char *want)
{
	const char *got = fill(text, SEVERITY_ERROR);

	cr_assert_not_null(got, "'%s': %s", text, diags.n ? diags.items[0].text : "?");
	cr_expect_str_eq(got, want);
	cr_expect_eq(diags.n, 0);
}

static void expect_error(const char *text, const char *words, unsigned line, unsigned column)
{
	const struct diag *diag;

	cr_expect_null(fill(text, SEVERITY_NOTICE), "'%s' passed", text);
	cr_assert_gt(diags.n_errors, 0);
	diag = &diags.items[diags.n - 1];
	cr_expect(strstr(diag->text, words), "'%s' has no '%s'", diag->text, words);
	cr_expect_str_eq(diag->origin.name, "file");
	cr_expect_eq(diag->origin.line, line);
	cr_expect_eq(diag->origin.column, column);
}

Test(mustache, leaves_text_without_tags_alone)
{
	expect("", "");
	expect("a: {b: c}\n} }} {\n", "a: {b: c}\n} }} {\n");
}

Test(mustache, puts_variables_whatever_the_blanks)
{
	expect("{{name}} {{ name }} {{\tname\n}}!", "web web web!");
	expect("{{name}}{{name2}}{{empty}}", "websecond");
}

Test(mustache, escapes_as_go_does_unless_told_not_to)
{
	expect("{{html}}", "&lt;a &amp; &#34;b&#34; &#39;c&#39;&gt;");
	expect("{{{html}}}|{{{ html }}}|{{&html}}|{{& html }}",
	       "<a & \"b\" 'c'>|<a & \"b\" 'c'>|<a & \"b\" 'c'>|<a & \"b\" 'c'>");
}

Test(mustache, finds_dotted_names)
{
	expect("{{a.b}} {{ a.c }}", "inner other");
	expect("{{ .Field }}", "Go");
}

Test(mustache, drops_comments)
{
	expect("x{{! {{ nothing}}y{{!}}z", "xyz");
}

Test(mustache, shows_a_section_when_its_variable_exists_even_empty)
{
	expect("[{{#name}}yes{{/name}}]", "[yes]");
	expect("[{{#empty}}yes{{/empty}}]", "[yes]");
	expect("[{{#nobody}}yes{{nothing}}{{/nobody}}]", "[]");
	expect("[{{^name}}no{{/name}}{{^nobody}}no{{/nobody}}]", "[no]");
	expect("[{{#nobody}}{{#name}}x{{/name}}{{^name}}y{{/name}}{{/nobody}}]", "[]");
}

Test(mustache, looks_inside_a_section_first)
{
	expect("{{#a}}{{b}} {{c}} {{name}} {{a.b}}{{/a}}", "inner other web inner");
}

Test(mustache, eats_the_line_break_behind_an_opening_tag_only)
{
	expect("{{#name}}\nx\n{{/name}}\ny", "x\n\ny");
	expect("{{#name}}\r\nx{{/name}}", "x");
	expect("{{^nobody}}\nx{{/nobody}}", "x");
	expect("{{name}}\nx", "web\nx");
}

Test(mustache, changes_delimiters)
{
	expect("{{=<% %>=}}<% name %> {{name}} <%={{ }}=%>{{name}}", "web {{name}} web");
}

Test(mustache, puts_nothing_for_an_unknown_variable_and_says_so)
{
	const char *got = fill("one\n  [{{ nobody }}]", SEVERITY_NOTICE);

	cr_assert_not_null(got);
	cr_expect_str_eq(got, "one\n  []");
	cr_assert_eq(diags.n, 1);
	cr_expect_eq(diags.items[0].severity, SEVERITY_NOTICE);
	cr_expect(strstr(diags.items[0].text, "no variable 'nobody'"));
	cr_expect_eq(diags.items[0].origin.line, 2);
	cr_expect_eq(diags.items[0].origin.column, 4);
}

Test(mustache, refuses_an_unknown_variable_where_it_is_told_to)
{
	cr_expect_null(fill("{{nam}}", SEVERITY_ERROR));
	cr_expect_eq(diags.n_errors, 1);
}

Test(mustache, refuses_broken_templates_with_their_place)
{
	expect_error("a\nb {{name", "tag is not closed", 2, 3);
	expect_error("{{{name}}", "tag is not closed", 1, 1);
	expect_error("{{}}", "empty tag", 1, 1);
	expect_error("x\n\n {{#name}}y", "section is not closed: 'name'", 3, 2);
	expect_error("{{/name}}", "closing tag without a section: 'name'", 1, 1);
	expect_error("{{#name}}{{/name2}}", "closing tag of another section: 'name2'", 1, 10);
	expect_error("{{> part}}", "partials are not supported: 'part'", 1, 1);
	expect_error("{{=<%=}}", "invalid delimiter tag", 1, 1);
	expect_error("{{=}}", "invalid delimiter tag", 1, 1);
	expect_error("{{a}}", "only names below it have a value: 'a'", 1, 1);
}

Test(mustache, refuses_endless_nesting)
{
	char text[40 * 6 + 1];

	for (size_t i = 0; i < 40; i++)
		memcpy(text + i * 6, "{{#a}}", 7);
	expect_error(text, "nested too deep", 1, 32 * 6 + 1);
}
