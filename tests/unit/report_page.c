/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/report/page.h"

#include <criterion/criterion.h>

#include "common/report/report.h"

static void expect_duration(int64_t seconds, const char *text)
{
	_strbuf_ struct strbuf out = { 0 };

	page_duration(&out, seconds);
	cr_expect_str_eq(strbuf_text(&out), text);
}

Test(page, says_a_time_in_at_most_two_units)
{
	expect_duration(0, "0 s");
	expect_duration(59, "59 s");
	expect_duration(60, "1 min");
	expect_duration(200, "3 min 20 s");
	expect_duration(3600, "1 h");
	expect_duration(3659, "1 h");
	expect_duration(11520, "3 h 12 min");
	expect_duration(86400, "1 day");
	expect_duration(2 * 86400 + 5 * 3600, "2 days 5 h");
	expect_duration(64 * 86400 + 5 * 3600, "64 days");
}

Test(page, breaks_at_blanks_and_counts_characters_not_bytes)
{
	_strbuf_ struct strbuf out = { 0 }, text = { 0 };
	struct page page = { .out = &out };

	for (int i = 0; i < 16; i++)
		strbuf_add(&text, i ? " äöüß" : "äöüß");
	page_add(&page, "", strbuf_text(&text), 2);
	cr_expect_str_eq(strbuf_text(&out),
			 "äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß äöüß "
			 "äöüß äöüß\n");
	page_add(&page, "A label", "one", 1);
	cr_expect_str_eq(strbuf_text(&out) + text.len + 1, "A label         one\n");
	cr_expect_eq(page.lines, 2);
}

Test(page, cuts_what_has_no_room)
{
	_strbuf_ struct strbuf out = { 0 };
	struct page page = { .out = &out };

	page_add(&page, "Path",
		 "/a/path/that/is/longer/than/a/line/and/has/no/blank/in/it/at/all/so/that/it/"
		 "breaks/anywhere/and/then/goes/on/and/on/and/on/and/on/and/on/and/on/and/on",
		 2);
	cr_expect_str_eq(strbuf_text(&out),
			 "Path            "
			 "/a/path/that/is/longer/than/a/line/and/has/no/blank/in/it/at/all\n"
			 "                "
			 "/so/that/it/breaks/anywhere/and/then/goes/on/and/on/and/on/and/…\n");
}

Test(page, never_has_more_lines_than_a_screen)
{
	_strbuf_ struct strbuf out = { 0 };
	struct page page = { .out = &out };

	for (int i = 0; i < 100; i++)
		page_add(&page, "Label", "text", 5);
	cr_expect_eq(page.lines, REPORT_LINES);
	cr_expect_eq(out.len, REPORT_LINES * (PAGE_INDENT + strlen("text\n")));
}

Test(page, moves_no_cursor_whoever_wrote_the_text)
{
	_strbuf_ struct strbuf out = { 0 };
	struct page page = { .out = &out };

	page_add(&page, "", "a\x1b[2J\nb\xff", 1);
	cr_expect_str_eq(strbuf_text(&out), "a\xef\xbf\xbd[2J b\xef\xbf\xbd\n");
	page_add(&page, "Nothing", "", 3);
	cr_expect_eq(page.lines, 1);
}
