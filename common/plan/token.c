/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/base/base64.h"
#include "common/base/cleanup.h"

#define TOKEN_MAX ((size_t)64 * 1024)
#define TIME_END  253402300800.0 /* the year 10000 */

static bool decode(const char *from, const char *to, unsigned char *buf, size_t *ret_len)
{
	return base64_decode(from, (size_t)(to - from), BASE64_URL, buf, ret_len);
}

/* The dot in [from, to); NULL: there is none. */
static const char *find_dot(const char *from, const char *to)
{
	return memchr(from, '.', (size_t)(to - from));
}

/* The claim of RFC 7519, 4.1.4: a number of seconds, which may have a fraction. */
static int check_expiry(const json_t *exp, uint64_t now_sec, struct error *err)
{
	double sec = json_number_value(exp);
	char when[64] = "long ago";
	struct tm tm;
	time_t time;

	if (!json_is_number(exp) || !(sec >= 0 && sec < TIME_END))
		return error_set(err, -EINVAL, "its exp is not a time in seconds");
	if ((uint64_t)sec > now_sec)
		return 0;
	time = (time_t)sec;
	if (gmtime_r(&time, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	return error_set(err, -EINVAL, "it expired on %s", when);
}

/* Looks for exp in the claims; without one the token never expires. */
static int check_claims(const unsigned char *text, size_t len, uint64_t now_sec, struct error *err)
{
	json_t *claims = json_loadb((const char *)text, len, JSON_ALLOW_NUL, NULL);
	const json_t *exp = json_object_get(claims, "exp");
	int r = 0;

	if (!json_is_object(claims))
		r = error_set(err, -EINVAL, "it is not a JWT: its claims are no JSON object");
	else if (exp && !json_is_null(exp))
		r = check_expiry(exp, now_sec, err);
	json_decref(claims);
	return r;
}

int token_check(const char *text, size_t len, uint64_t now_sec, struct error *err)
{
	static const char blanks[] = " \t\r\n";
	const char *end, *first, *second;
	_free_ unsigned char *claims = NULL;
	size_t claims_len = 0;

	while (len && memchr(blanks, text[len - 1], sizeof(blanks) - 1))
		len--;
	while (len && memchr(blanks, *text, sizeof(blanks) - 1)) {
		text++;
		len--;
	}
	if (!len)
		return error_set(err, -EINVAL, "it is empty");
	if (len > TOKEN_MAX)
		return error_set(err, -EINVAL, "it is longer than %zu bytes", TOKEN_MAX);
	end = text + len;
	first = find_dot(text, end);
	second = first ? find_dot(first + 1, end) : NULL;
	if (!second || find_dot(second + 1, end) || first == text || second == first + 1)
		return error_set(err, -EINVAL,
				 "it is not a JWT: three parts with dots between them are wanted");
	claims = malloc(len);
	if (!claims)
		return error_sys(err, -ENOMEM, "read token");
	/* The claims come last: they stay in the buffer. */
	if (!decode(text, first, claims, &claims_len) ||
	    !decode(second + 1, end, claims, &claims_len) ||
	    !decode(first + 1, second, claims, &claims_len))
		return error_set(err, -EINVAL, "it is not a JWT: a part of it is not base64url");
	return check_claims(claims, claims_len, now_sec, err);
}
