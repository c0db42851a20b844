/* SPDX-License-Identifier: GPL-2.0-or-later */

/* tests/golden/status has whole ones. */

#include "common/report/report.h"

#include <criterion/criterion.h>

static json_t *parse(const char *text)
{
	json_t *status = json_loads(text, 0, NULL);

	cr_assert_not_null(status);
	return status;
}

static void expect_exit(const char *text, int status)
{
	json_auto_t *object = parse(text);

	cr_expect_eq(report_exit_status(object), status, "%s", text);
}

Test(report, exits_with_what_a_script_wants_to_know)
{
	expect_exit("{\"phase\":\"redirecting\",\"healthy\":true}", 0);
	expect_exit("{\"phase\":\"redirecting\",\"healthy\":false}", 4);
	expect_exit("{\"phase\":\"degraded\",\"healthy\":false}", 4);
	expect_exit("{\"phase\":\"starting\",\"healthy\":false}", 4);
	expect_exit("{\"phase\":\"not-running\",\"healthy\":false}", 3);
	expect_exit("{}", 4);
}

static void expect_colour(const char *text, const char *colour)
{
	json_auto_t *status = parse(text);
	_strbuf_ struct strbuf out = { 0 }, plain = { 0 };

	report_text(status, true, &out);
	report_text(status, false, &plain);
	cr_expect_eq(strncmp(strbuf_text(&out), colour, strlen(colour)), 0, "%s", out.text);
	cr_expect_null(strchr(strbuf_text(&plain), '\x1b'));
}

Test(report, colours_the_answer_by_how_bad_it_is)
{
	expect_colour("{\"phase\":\"redirecting\",\"healthy\":true}", "\x1b[1;32mRedirecting");
	expect_colour("{\"phase\":\"degraded\",\"healthy\":false}", "\x1b[1;33mDegraded");
	expect_colour("{\"phase\":\"holding\",\"healthy\":false}", "\x1b[1;31mHolding");
	expect_colour("{\"phase\":\"released\",\"healthy\":false}", "\x1b[1;31mReleased");
	expect_colour("{\"phase\":\"not-running\",\"left\":[]}", "\x1b[1;33mNot running");
	expect_colour("{\"phase\":\"not-running\",\"left\":[{\"whose\":\"x\",\"what\":[\"y\"]}]}",
		      "\x1b[1;31mNot running");
}

Test(report, takes_an_answer_that_says_next_to_nothing)
{
	json_auto_t *status = parse("{}");
	_strbuf_ struct strbuf text = { 0 }, metrics = { 0 };

	report_text(status, true, &text);
	report_metrics(status, &metrics);
	cr_expect_not(text.failed || metrics.failed);
	cr_expect_str_eq(strbuf_text(&metrics) + metrics.len - strlen("\n# EOF\n"), "\n# EOF\n");
}
