/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/token.h"

#include <string.h>

#include <criterion/criterion.h>

#define HEADER     "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."
#define SIGNATURE  ".c2lnbmF0dXJl"
#define NOW        UINT64_C(1800000000)
#define UNTIL_2033 HEADER "eyJOYW1lIjoid2ViIiwiZXhwIjoyMDAwMDAwMDAwfQ" SIGNATURE

static void expect_good_at(const char *token, uint64_t now)
{
	struct error err = { 0 };

	cr_expect_eq(token_check(token, strlen(token), now, &err), 0, "%s", err.text);
}

static void expect_bad(const char *token, const char *words)
{
	struct error err = { 0 };

	cr_expect_lt(token_check(token, strlen(token), NOW, &err), 0);
	cr_expect(strstr(err.text, words), "'%s' has no '%s'", err.text, words);
}

Test(token, accepts_one_that_has_not_expired)
{
	expect_good_at(UNTIL_2033, NOW);
}

Test(token, accepts_one_that_never_expires)
{
	expect_good_at(HEADER "eyJOYW1lIjoid2ViIn0" SIGNATURE, NOW); /* no exp */
	expect_good_at(HEADER "eyJleHAiOm51bGx9" SIGNATURE, NOW);    /* null */
	expect_good_at(HEADER "eyJOYW1lIjoid2ViIn0"
			      ".",
		       NOW); /* unsigned */
}

Test(token, accepts_blanks_around_it)
{
	expect_good_at("  " UNTIL_2033 "\r\n", NOW);
}

Test(token, accepts_escapes_that_yaml_does_not_know)
{
	expect_good_at(HEADER "eyJhIjoiXC9cdWQ4M2RcdWRlMDAiLCJleHAiOjIwMDAwMDAwMDB9" SIGNATURE,
		       NOW);
}

Test(token, is_expired_from_its_second_on_and_says_when_that_was)
{
	struct error err = { 0 };

	expect_good_at(UNTIL_2033, 1999999999);
	cr_expect_lt(token_check(UNTIL_2033, strlen(UNTIL_2033), 2000000000, &err), 0);
	cr_expect_str_eq(err.text, "it expired on 2033-05-18 03:33:20 UTC");
	expect_bad(HEADER "eyJleHAiOjEwMDAwMDAwMDB9" SIGNATURE,
		   "it expired on 2001-09-09 01:46:40 UTC");
}

Test(token, may_expire_at_a_fraction_of_a_second)
{
	expect_bad(HEADER "eyJleHAiOjE3MDAwMDAwMDAuNX0" SIGNATURE,
		   "it expired on 2023-11-14 22:13:20 UTC");
}

Test(token, is_refused_where_exp_is_no_time)
{
	expect_bad(HEADER "eyJleHAiOiJzb29uIn0" SIGNATURE, "its exp is not a time");
}

Test(token, is_refused_where_its_shape_is_not_a_jwts)
{
	expect_bad("", "it is empty");
	expect_bad("\n", "it is empty");
	expect_bad("secret", "not a JWT: three parts");
	expect_bad("a.b", "not a JWT: three parts");
	expect_bad(UNTIL_2033 ".", "not a JWT: three parts");
	expect_bad("..", "not a JWT: three parts");
	expect_bad(HEADER "eyJle+Ai" SIGNATURE, "not base64url");
	expect_bad(HEADER "eyJleHAiO" SIGNATURE, "not base64url"); /* 9 characters */
	expect_bad(HEADER "WzFd" SIGNATURE, "no JSON object");     /* [1] */
	expect_bad(HEADER "eyI" SIGNATURE, "no JSON object");      /* {" */
	expect_bad("first\nsecond", "not a JWT");
}

Test(token, is_never_quoted)
{
	struct error err = { 0 };

	cr_expect_lt(token_check("hunter2", 7, NOW, &err), 0);
	cr_expect_not(strstr(err.text, "hunter2"));
}
