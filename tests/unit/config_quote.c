/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "common/config/quote.h"
#include "common/config/scalar.h"
#include "common/config/yaml.h"

Test(quote_yaml, gives_scalars_that_load_back_as_the_same_text)
{
	static const char *const texts[] = {
		"",
		"a",
		"yes",
		"No",
		"null",
		"~",
		"1",
		"0x1f",
		"1e3",
		"-",
		"- a",
		"a: b",
		"a:",
		"a:b",
		"#a",
		"a #b",
		"[a]",
		"{a}",
		"*a",
		"&a",
		"!a",
		"|",
		">",
		"%a",
		"@a",
		"`a",
		"\"a\"",
		"'a'",
		" a",
		"a ",
		"a\nb",
		"a\tb",
		"a\\nb",
		"a,b",
		"https://x:1/y",
		"/etc/x",
		"\xc3\xa9",
		"\xf0\x9f\x98\x80",
		"---",
		"...",
		"a---",
		"?",
		"? a",
		":",
		"<<",
		".inf",
	};

	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		struct arena arena = { 0 };
		struct diag_list diags = { .arena = &arena };
		_strbuf_ struct strbuf out = { 0 };
		const struct yaml_node *root;
		const struct yaml_entry *entries;

		strbuf_add(&out, "[");
		quote_yaml(texts[i], &out);
		strbuf_add(&out, ", {k: ");
		quote_yaml(texts[i], &out);
		strbuf_add(&out, "}]");
		cr_assert(yaml_load(&arena, "t", strbuf_text(&out), out.len, &root, &diags), "%s",
			  strbuf_text(&out));
		entries = root->entries;
		cr_assert_str_eq(scalar_text(&arena, entries[0].value), texts[i]);
		cr_assert_str_eq(scalar_text(&arena, entries[1].value->entries[0].value), texts[i]);
		arena_done(&arena);
	}
}

Test(quote_yaml, leaves_simple_words_alone)
{
	static const char *const words[] = { "abc", "/etc/x.yaml", "https://a.example:5678",
					     "a_b-c" };

	for (size_t i = 0; i < ELEMENTS(words); i++) {
		_strbuf_ struct strbuf out = { 0 };

		quote_yaml(words[i], &out);
		cr_assert_str_eq(strbuf_text(&out), words[i]);
	}
}

Test(clean_text, is_utf8_without_control_characters)
{
	cr_assert(text_is_clean("plain \xc3\xa9 \xf0\x9f\x98\x80", false));
	cr_assert(text_is_clean("a\nb\tc", true));
	cr_assert_not(text_is_clean("a\nb", false));
	cr_assert_not(text_is_clean("a\rb", true));
	cr_assert_not(text_is_clean("\x7f", false));
	cr_assert_not(text_is_clean("\xc2\x85", false), "NEL");
	cr_assert_not(text_is_clean("\xe2\x80\xa8", true), "a line separator");
	cr_assert_not(text_is_clean("\xef\xbb\xbf", false), "a byte order mark");
	cr_assert_not(text_is_clean("\xef\xbf\xbe", false), "no character");
}

Test(clean_text, refuses_broken_utf8)
{
	static const char *const broken[] = { "\xff",
					      "\xc3",
					      "\xc3x",
					      "\x80",
					      "\xc0\x80",
					      "\xe0\x80\x80",
					      "\xed\xa0\x80",
					      "\xf4\x90\x80\x80",
					      "\xf8\x88\x80\x80\x80" };

	for (size_t i = 0; i < ELEMENTS(broken); i++)
		cr_assert_not(text_is_clean(broken[i], true), "%zu", i);
}

Test(quote_text, escapes_and_cuts)
{
	struct arena arena = { 0 };
	char word[200];

	memset(word, 'a', sizeof(word));
	word[199] = 0;
	cr_assert_str_eq(quote_text(&arena, "a\"b\\c\n\x1b\xff"), "\"a\\\"b\\\\c\\n\\x1b\\xff\"");
	cr_assert_eq(strlen(quote_text(&arena, word)), 60 + strlen("\"...\""));
	arena_done(&arena);
}
