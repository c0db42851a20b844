/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/token.h"

#include <string.h>

#include <criterion/criterion.h>

#define HEADER     "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9."
#define SIGNATURE  ".c2lnbmF0dXJl"
#define NOW        UINT64_C(1800000000)
#define UNTIL_2033 HEADER "eyJOYW1lIjoid2ViIiwiZXhwIjoyMDAwMDAwMDAwfQ" SIGNATURE

static const struct token_bearer anybody = { .now_sec = NOW };
static uint64_t expires;

static void expect_good_at(const char *token, uint64_t now)
{
	struct error err = { 0 };

	const struct token_bearer bearer = { .now_sec = now };

	cr_expect_eq(token_check(token, strlen(token), &bearer, &expires, &err), 0, "%s", err.text);
}

static void expect_bad(const char *token, const char *words)
{
	struct error err = { 0 };

	cr_expect_lt(token_check(token, strlen(token), &anybody, &expires, &err), 0);
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
	cr_expect_lt(token_check(UNTIL_2033, strlen(UNTIL_2033),
				 &(struct token_bearer){ .now_sec = 2000000000 }, &expires, &err),
		     0);
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

/* A token with these claims. */
static const char *made_of(const char *claims)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char text[2048];
	size_t len = strlen(claims), at = strlen(HEADER);

	memcpy(text, HEADER, at);
	for (size_t i = 0; i < len; i += 3) {
		unsigned bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (i + j < len ? (unsigned char)claims[i + j] : 0);
		for (size_t j = 0; j < 4 && i + j <= len; j++)
			text[at++] = digits[bits >> (18 - 6 * j) & 63];
	}
	memcpy(text + at, SIGNATURE, sizeof(SIGNATURE));
	return text;
}

Test(token, has_times_as_any_number_that_json_and_kuma_cp_take)
{
	expect_good_at(made_of("{\"exp\":1.9e+09}"), NOW);
	expect_good_at(made_of("{\"exp\":1.895878442e+09}"), NOW);
	expect_good_at(made_of("{\"exp\":18.5E8,\"nbf\":1e9,\"iat\":0.5}"), NOW);
	expect_good_at(made_of("{\"exp\":\"1900000000\"}"), NOW);
	expect_good_at(made_of("{\"exp\":1900000000000}"), NOW); /* milliseconds */
	expect_good_at(made_of("{\"EXP\":1900000000}"), NOW);
	expect_good_at(made_of("{\"id\":99999999999999999999}"), NOW);
	expect_bad(made_of("{\"exp\":1.7e+09}"), "it expired on 2023-11-14 22:13:20 UTC");
	expect_bad(made_of("{\"exp\":\"1700000000\"}"), "it expired on 2023-11-14 22:13:20 UTC");
	expect_bad(made_of("{\"exp\":-1}"), "it expired on 1969-12-31 23:59:59 UTC");
	expect_bad(made_of("{\"exp\":-1e18}"), "it expired on ");
}

Test(token, has_no_times_that_cannot_be_represented)
{
	expect_bad(made_of("{\"exp\":1e19}"), "its exp is a number too large for a time");
	expect_bad(made_of("{\"exp\":99999999999999999999}"), "its exp is a number too large");
	expect_bad(made_of("{\"nbf\":-1e300}"), "its nbf is a number too large for a time");
	expect_bad(made_of("{\"exp\":1e400}"), "a number in it is too large");
	expect_bad(made_of("{\"exp\":true}"), "its exp is not a time in seconds");
	expect_bad(made_of("{\"exp\":\"1900000000s\"}"), "its exp is not a time in seconds");
	expect_bad(made_of("{\"exp\":\"\"}"), "its exp is not a time in seconds");
}

static struct pair tags[] = { { "kuma.io/service", "web" },
			      { "version", "1" },
			      { "kuma.io/service", "api" } };
static const struct pair_list tag_list = { tags, 3 };
static const struct token_bearer web = { NOW, "default", "web-01", &tag_list };

static int shown_by_web(const char *claims, struct error *err)
{
	const char *token = made_of(claims);

	return token_check(token, strlen(token), &web, &expires, err);
}

Test(token, fits_its_bearer)
{
	static const char *const good[] = {
		"{}",
		"{\"Mesh\":\"\",\"Name\":\"\",\"Tags\":{},\"Type\":\"\"}",
		"{\"Mesh\":\"default\",\"Name\":\"web-01\",\"Tags\":null}",
		"{\"mesh\":\"default\",\"name\":null}",
		"{\"Tags\":{\"kuma.io/service\":[\"api\",\"web\",\"more\"],\"version\":[\"1\"]}}",
		"{\"Tags\":{\"kuma.io/zone\":[\"east\"]}}",
	};
	struct error err = { 0 };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_expect_eq(shown_by_web(good[i], &err), 0, "%s: %s", good[i], err.text);
}

Test(token, is_refused_where_it_is_anothers)
{
	static const struct {
		const char *claims, *sentence;
	} bad[] = {
		{ "{\"Mesh\":\"prod\"}", "its Mesh is 'prod', and the Dataplane's is 'default'" },
		{ "{\"Name\":\"db\"}", "its Name is 'db', and the Dataplane's is 'web-01'" },
		{ "{\"Name\":1}", "its Name is not text" },
		{ "{\"Tags\":[]}", "its Tags are no JSON object" },
		{ "{\"Tags\":{\"kuma.io/service\":[\"web\"]}}",
		  "it is not for the Dataplane's tag kuma.io/service: api" },
		{ "{\"Tags\":{\"region\":[\"eu\"]}}",
		  "it is for a tag region, which the Dataplane does not have" },
		{ "{\"Zone\":\"east\",\"Scope\":[\"ingress\"]}",
		  "it is a token for a zone, not for a Dataplane" },
		{ "{\"Name\":\"admin\",\"Groups\":[\"mesh-system:admin\"]}",
		  "it is a token for a user, not for a Dataplane" },
	};
	struct error err = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		cr_expect_lt(shown_by_web(bad[i].claims, &err), 0, "%s", bad[i].claims);
		cr_expect_str_eq(err.text, bad[i].sentence);
	}
}

Test(token, of_a_bearer_who_is_not_known_is_not_compared)
{
	expect_good_at(made_of("{\"Mesh\":\"m\",\"Name\":\"n\",\"Tags\":{\"a\":[\"b\"]}}"), NOW);
}

Test(token, may_be_valid_later_only)
{
	struct error err = { 0 };

	cr_expect_eq(shown_by_web("{\"nbf\":1.9e9}", &err), TOKEN_NOT_YET);
	cr_expect_str_eq(err.text, "it is not valid before 2030-03-17 17:46:40 UTC");
	cr_expect_eq(shown_by_web("{\"nbf\":1800000000}", &err), 0);
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

/* What says little and nests deep. */
static void expect_quick(const char *four_letters)
{
	static char token[60000] = HEADER;
	char *at = token + strlen(HEADER);

	for (size_t i = 0; i < 13500; i++)
		at = stpcpy(at, four_letters);
	(void)stpcpy(at, SIGNATURE);
	expect_bad(token, "no JSON object");
}

Test(token, is_refused_at_once_however_deep_it_nests, .timeout = 5)
{
	expect_quick("e3t7"); /* {{{ */
	expect_quick("W1tb"); /* [[[ */
	expect_quick("eyJh"); /* {"a */
}

Test(token, is_never_quoted)
{
	struct error err = { 0 };

	cr_expect_lt(token_check("hunter2", 7, &anybody, &expires, &err), 0);
	cr_expect_not(strstr(err.text, "hunter2"));
}

Test(token, says_when_it_expires)
{
	expires = 1;
	expect_good_at(HEADER "eyJOYW1lIjoid2ViIn0" SIGNATURE, NOW); /* no exp */
	cr_expect_eq(expires, 0);
	expect_good_at(UNTIL_2033, NOW);
	cr_expect_eq(expires, 2000000000);
}

Test(token, is_told_of_a_week_and_a_day_before_its_end)
{
	const uint64_t day = 24 * 3600, end = 2000000000;

	cr_expect_eq(token_age(0, UINT64_MAX), TOKEN_FRESH);
	cr_expect_eq(token_age(end, 0), TOKEN_FRESH);
	cr_expect_eq(token_age(end, end - 7 * day - 1), TOKEN_FRESH);
	cr_expect_eq(token_age(end, end - 7 * day), TOKEN_LAST_WEEK);
	cr_expect_eq(token_age(end, end - day - 1), TOKEN_LAST_WEEK);
	cr_expect_eq(token_age(end, end - day), TOKEN_LAST_DAY);
	cr_expect_eq(token_age(end, end - 1), TOKEN_LAST_DAY);
	cr_expect_eq(token_age(end, end), TOKEN_EXPIRED);
	cr_expect_eq(token_age(end, UINT64_MAX), TOKEN_EXPIRED);
}

static void expect_words(uint64_t left, const char *words)
{
	_strbuf_ struct strbuf out = { 0 };

	token_print_expiry(2000000000, 2000000000 - left, &out);
	cr_expect_str_eq(strbuf_text(&out), words);
}

Test(token, says_in_words_how_long_it_lasts)
{
	expect_words((uint64_t)6 * 24 * 3600 + 7, "expires on 2033-05-18 03:33:20 UTC, in 6 days");
	expect_words((uint64_t)24 * 3600, "expires on 2033-05-18 03:33:20 UTC, in 24 hours");
	expect_words(5000, "expires on 2033-05-18 03:33:20 UTC, in 83 minutes");
	expect_words(0, "expired on 2033-05-18 03:33:20 UTC");
}
