/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/strbuf.h"

Test(strbuf, is_empty_text_before_anything_is_added)
{
	_strbuf_ struct strbuf buf = { 0 };

	cr_assert_str_eq(strbuf_text(&buf), "");
	cr_assert_eq(buf.len, 0);
}

Test(strbuf, appends_text_characters_pieces_and_formats)
{
	_strbuf_ struct strbuf buf = { 0 };

	strbuf_add(&buf, "ab");
	strbuf_addc(&buf, 'c');
	strbuf_add_len(&buf, "defgh", 2);
	strbuf_addf(&buf, "%d|%s", -5, "x");
	cr_assert_str_eq(strbuf_text(&buf), "abcde-5|x");
	cr_assert_eq(buf.len, strlen("abcde-5|x"));
}

Test(strbuf, escapes_what_means_something_to_XML)
{
	_strbuf_ struct strbuf buf = { 0 };

	strbuf_add_escaped(&buf, "");
	cr_expect_eq(buf.len, 0);
	strbuf_add_escaped(&buf, "<a b=\"1\" c='2'>&amp;\n");
	cr_expect_str_eq(strbuf_text(&buf), "&lt;a b=&#34;1&#34; c=&#39;2&#39;&gt;&amp;amp;\n");
}

Test(strbuf, grows_beyond_its_first_size)
{
	_strbuf_ struct strbuf buf = { 0 };

	for (unsigned i = 0; i < 5000; i++)
		strbuf_addf(&buf, "%04u,", i);
	cr_assert_eq(buf.len, 25000);
	cr_assert_not(buf.failed);
	cr_assert_eq(memcmp(strbuf_text(&buf) + 5 * 1234, "1234,", 5), 0);
}

Test(strbuf, hands_its_text_over_and_is_empty_afterwards)
{
	struct strbuf buf = { 0 };
	_free_ char *text = NULL, *nothing = NULL;

	strbuf_add(&buf, "mine");
	text = strbuf_take(&buf);
	cr_assert_str_eq(text, "mine");
	cr_assert_null(buf.text);
	nothing = strbuf_take(&buf);
	cr_assert_str_eq(nothing, "");
}

Test(strbuf, gives_nothing_away_after_a_failure)
{
	struct strbuf buf = { 0 };

	strbuf_add(&buf, "x");
	strbuf_add_len(&buf, "y", SIZE_MAX / 2);
	cr_assert(buf.failed);
	strbuf_add(&buf, "z");
	cr_assert_str_eq(strbuf_text(&buf), "x");
	cr_assert_null(strbuf_take(&buf));
	cr_assert_not(buf.failed);
}
