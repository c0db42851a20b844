/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/json.h"

#include <criterion/criterion.h>

static void expect(json_t *value, const char *text)
{
	char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	cr_assert_not_null(dumped);
	cr_expect_str_eq(dumped, text);
	free(dumped);
	json_decref(value);
}

Test(json, quotes_what_would_end_a_string_and_keeps_no_control_characters)
{
	expect(json_text(""), "\"\"");
	expect(json_text("a\"b\\c\nd\x1b"), "\"a\\\"b\\\\c d\xef\xbf\xbd\"");
}

Test(json, does_not_lose_an_answer_over_what_is_no_utf_8)
{
	expect(json_text("a\xfc\xc3\xbc"), "\"a\xef\xbf\xbd\xc3\xbc\"");
}

Test(json, refuses_with_a_sentence)
{
	expect(json_refusal("no"), "{\"ok\":false,\"error\":\"no\"}");
}
