/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/utf8.h"

#include <criterion/criterion.h>

static void expect(const char *text, size_t len, uint32_t code)
{
	uint32_t found = 0;

	cr_expect_eq(utf8_char(text, &found), len, "%s", text);
	cr_expect_eq(found, code, "%s", text);
}

Test(utf8, reads_characters_of_every_length)
{
	expect("a", 1, 'a');
	expect("\x7f", 1, 0x7f);
	expect("\xc3\xbc", 2, 0xfc);
	expect("\xe2\x82\xac", 3, 0x20ac);
	expect("\xf0\x9f\x98\x80", 4, 0x1f600);
	expect("\xf4\x8f\xbf\xbf", 4, 0x10ffff);
}

Test(utf8, finds_no_character_where_there_is_none)
{
	static const char *const broken[] = {
		"\xfc",             /* Latin 1 */
		"\x80",             /* the middle of one */
		"\xc3",             /* cut off */
		"\xe2\x82",         /* cut off */
		"\xc3(",            /* goes on with another */
		"\xc0\xaf",         /* not the shortest form */
		"\xe0\x80\xaf",     /* not the shortest form */
		"\xed\xa0\x80",     /* a surrogate */
		"\xf4\x90\x80\x80", /* beyond Unicode */
		"\xf5\x80\x80\x80", /* beyond Unicode */
	};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		expect(broken[i], 0, 0);
}

static void expect_clean(const char *text, size_t len, const char *clean)
{
	struct strbuf out = { 0 };

	utf8_add_clean(&out, text, len);
	cr_expect_str_eq(strbuf_text(&out), clean);
	strbuf_done(&out);
}

#define CLEAN(text, clean) expect_clean(text, sizeof(text) - 1, clean)

Test(utf8, replaces_each_byte_that_belongs_to_no_character)
{
	CLEAN("a\xfc\xc3\xbc\xe2\x82", "a\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd");
}

Test(utf8, makes_one_harmless_line_of_any_text)
{
	CLEAN("\x1b]0;x\x07\nerror: forged", "\xef\xbf\xbd]0;x\xef\xbf\xbd error: forged");
	CLEAN("a\tb\nc", "a b c");
	CLEAN("\x7f"
	      "a\0b\r\x1f",
	      "\xef\xbf\xbd"
	      "a\xef\xbf\xbd"
	      "b\xef\xbf\xbd\xef\xbf\xbd");
	/* C1: CSI is a control character of one byte in some terminals, and U+009B in others. */
	CLEAN("\xc2\x9b"
	      "31m\x9b\xc2\x80\xc2\x9f\xc2\xa0",
	      "\xef\xbf\xbd"
	      "31m\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xc2\xa0");
	CLEAN("", "");
}

Test(utf8, cuts_at_characters)
{
	static const char text[] = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t kept[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10 };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		cr_expect_eq(utf8_cut(text, i), kept[i], "%zu", i);
	/* What is no character at all stays: it is not the cut that broke it. */
	cr_expect_eq(utf8_cut("\x80\x80\x80\x80", 4), 4);
}

Test(utf8, prints_what_fits)
{
	char buf[4];

	utf8_print(buf, sizeof(buf), "%s", "ab");
	cr_expect_str_eq(buf, "ab");
	utf8_print(buf, sizeof(buf), "%s", "ab\xc3\xbc");
	cr_expect_str_eq(buf, "ab");
	utf8_print(buf, sizeof(buf), "%s", "a\xc3\xbc");
	cr_expect_str_eq(buf, "a\xc3\xbc");
}
