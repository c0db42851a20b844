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

Test(utf8, replaces_each_byte_that_belongs_to_none)
{
	struct strbuf out = { 0 };

	utf8_add(&out, "a\xfc\xc3\xbc\xe2\x82");
	cr_expect_str_eq(strbuf_text(&out), "a\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd");
	strbuf_done(&out);
}
