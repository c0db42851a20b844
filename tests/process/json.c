/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "common/base/strbuf.h"
#include "daemon/operator/json.h"

static void expect(const char *value, const char *text)
{
	_strbuf_ struct strbuf out = { 0 };

	json_string(&out, NULL, value);
	cr_expect_str_eq(strbuf_text(&out), text);
}

Test(json, quotes_what_would_end_a_string)
{
	expect("", "\"\"");
	expect("a\"b\\c", "\"a\\\"b\\\\c\"");
	expect("a\nb\tc\x7f", "\"a\\nb\\u0009c\\u007f\"");
	expect(NULL, "null");
}

Test(json, leaves_utf_8_as_it_is)
{
	expect("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

Test(json, says_where_something_was_no_utf_8)
{
	expect("a\xfc", "\"a\\ufffd\"");                                /* Latin 1 */
	expect("\xc3", "\"\\ufffd\"");                                  /* cut off */
	expect("\xe2\x82", "\"\\ufffd\\ufffd\"");                       /* cut off */
	expect("\xc0\xaf", "\"\\ufffd\\ufffd\"");                       /* not the shortest form */
	expect("\xed\xa0\x80x", "\"\\ufffd\\ufffd\\ufffdx\"");          /* a surrogate */
	expect("\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""); /* beyond Unicode */
}

Test(json, escapes_the_control_characters_that_libyaml_refuses)
{
	expect("\xc2\x9b\xc2\xa0", "\"\\u009b\xc2\xa0\"");
}

Test(json, puts_commas_between_members_only)
{
	_strbuf_ struct strbuf out = { 0 };

	json_open(&out, NULL, '{');
	json_string(&out, "brace", "{");
	json_bool(&out, "yes", true);
	json_open(&out, "inner", '{');
	json_number(&out, "n", 18446744073709551615U);
	json_close(&out, '}');
	json_close(&out, '}');
	cr_expect_str_eq(strbuf_text(&out),
			 "{\"brace\":\"{\",\"yes\":true,\"inner\":{\"n\":18446744073709551615}}");
}
