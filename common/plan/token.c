/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/base/base64.h"
#include "common/base/cleanup.h"

#define TOKEN_MAX ((size_t)64 * 1024)
#define TIME_END  9.2e18 /* seconds that Go's time can hold, either way */

#define HOUR ((uint64_t)60 * 60)
#define DAY  (24 * HOUR)

/* Any number is a double, as for kuma-cp, also one that stands alone. */
#define JSON_NUMBERS (JSON_DECODE_INT_AS_REAL | JSON_DECODE_ANY)

static bool decode(const char *from, const char *to, unsigned char *buf, size_t *ret_len)
{
	return base64_decode(from, (size_t)(to - from), BASE64_URL, buf, ret_len);
}

/* The dot in [from, to); NULL: there is none. */
static const char *find_dot(const char *from, const char *to)
{
	return memchr(from, '.', (size_t)(to - from));
}

/* The last claim of that name in any case, as Go finds them; NULL where it is absent or null. */
static const json_t *find_claim(json_t *claims, const char *wanted)
{
	const json_t *found = NULL;
	const char *name;
	json_t *value;

	json_object_foreach(claims, name, value) if (strcasecmp(name, wanted) == 0) found = value;
	return json_is_null(found) ? NULL : found;
}

/* RFC 7519, section 2: a number of seconds, which may have a fraction; for kuma-cp also such a
 * number as text. Returns 1 where there is one. */
static int read_time(json_t *claims, const char *name, double *ret, struct error *err)
{
	const json_t *claim = find_claim(claims, name);
	json_auto_t *quoted = NULL;

	if (!claim)
		return 0;
	if (json_is_string(claim)) {
		quoted = json_loads(json_string_value(claim), JSON_NUMBERS, NULL);
		claim = quoted;
	}
	if (!json_is_number(claim))
		return error_set(err, -EINVAL, "its %s is not a time in seconds", name);
	*ret = json_number_value(claim);
	if (!(*ret > -TIME_END && *ret < TIME_END))
		return error_set(err, -EINVAL, "its %s is a number too large for a time", name);
	return 1;
}

static void print_time(double sec, char ret[static 64])
{
	time_t time = (time_t)sec;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || !strftime(ret, 64, "%Y-%m-%d %H:%M:%S UTC", &tm))
		(void)snprintf(ret, 64, "a day that has no date");
}

static int refuse_time(const char *what, double sec, struct error *err)
{
	char when[64];

	print_time(sec, when);
	return error_set(err, -EINVAL, "%s %s", what, when);
}

/* A claim about the bearer, which says nothing where it is empty. */
static int check_text(json_t *claims, const char *name, const char *of_bearer, struct error *err)
{
	const json_t *claim = find_claim(claims, name);
	const char *text = json_string_value(claim);

	if (claim && !text)
		return error_set(err, -EINVAL, "its %s is not text", name);
	if (!text || !*text || !of_bearer || strcmp(text, of_bearer) == 0)
		return 0;
	return error_set(err, -EINVAL, "its %s is '%s', and the Dataplane's is '%s'", name, text,
			 of_bearer);
}

static bool has_text(const json_t *list, const char *wanted)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text && strcmp(text, wanted) == 0)
			return true;
	}
	return false;
}

/* A bearer has each tag of the token, with no other value than those. */
static int check_tags(json_t *claims, const struct pair_list *tags, struct error *err)
{
	json_t *all = (json_t *)find_claim(claims, "Tags"), *allowed;
	const char *tag;

	if (all && !json_is_object(all))
		return error_set(err, -EINVAL, "its Tags are no JSON object");
	json_object_foreach(all, tag, allowed)
	{
		bool found = strcmp(tag, "kuma.io/zone") == 0; /* kuma-cp adds it */

		for (size_t i = 0; tags && i < tags->n; i++) {
			if (strcmp(tags->items[i].key, tag) != 0)
				continue;
			found = true;
			if (!has_text(allowed, tags->items[i].value))
				return error_set(err, -EINVAL,
						 "it is not for the Dataplane's tag %s: %s", tag,
						 tags->items[i].value);
		}
		if (tags && !found)
			return error_set(err, -EINVAL,
					 "it is for a tag %s, which the Dataplane does not have",
					 tag);
	}
	return 0;
}

static int check_bearer(json_t *claims, const struct token_bearer *bearer,
			uint64_t *ret_expires_sec, struct error *err)
{
	uint64_t expires_sec = 0;
	double sec = 0;
	int r;

	if (find_claim(claims, "Scope") || find_claim(claims, "Groups"))
		return error_set(err, -EINVAL, "it is a token for a %s, not for a Dataplane",
				 find_claim(claims, "Scope") ? "zone" : "user");
	r = read_time(claims, "exp", &sec, err);
	if (r > 0 && sec <= (double)bearer->now_sec)
		return refuse_time("it expired on", sec, err);
	if (r > 0)
		expires_sec = (uint64_t)sec;
	if (r >= 0)
		r = check_text(claims, "Mesh", bearer->mesh, err);
	if (r >= 0)
		r = check_text(claims, "Name", bearer->name, err);
	if (r >= 0)
		r = check_tags(claims, bearer->tags, err);
	if (r >= 0)
		r = read_time(claims, "nbf", &sec, err);
	if (r < 0)
		return r;
	*ret_expires_sec = expires_sec;
	if (r == 0 || sec <= (double)bearer->now_sec)
		return 0;
	(void)refuse_time("it is not valid before", sec, err);
	return TOKEN_NOT_YET;
}

static int check_claims(const unsigned char *text, size_t len, const struct token_bearer *bearer,
			uint64_t *ret_expires_sec, struct error *err)
{
	json_error_t problem = { 0 };
	json_auto_t *claims =
		json_loadb((const char *)text, len, JSON_ALLOW_NUL | JSON_NUMBERS, &problem);

	if (!claims && json_error_code(&problem) == json_error_numeric_overflow)
		return error_set(err, -EINVAL, "a number in it is too large");
	if (!json_is_object(claims))
		return error_set(err, -EINVAL, "it is not a JWT: its claims are no JSON object");
	return check_bearer(claims, bearer, ret_expires_sec, err);
}

int token_check(const char *text, size_t len, const struct token_bearer *bearer,
		uint64_t *ret_expires_sec, struct error *err)
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
	return check_claims(claims, claims_len, bearer, ret_expires_sec, err);
}

enum token_age token_age(uint64_t expires_sec, uint64_t now_sec)
{
	if (!expires_sec)
		return TOKEN_FRESH;
	if (now_sec >= expires_sec)
		return TOKEN_EXPIRED;
	if (expires_sec - now_sec <= DAY)
		return TOKEN_LAST_DAY;
	return expires_sec - now_sec <= 7 * DAY ? TOKEN_LAST_WEEK : TOKEN_FRESH;
}

void token_print_expiry(uint64_t expires_sec, uint64_t now_sec, struct strbuf *out)
{
	uint64_t left = expires_sec > now_sec ? expires_sec - now_sec : 0;
	char when[64];

	print_time((double)expires_sec, when);
	strbuf_addf(out, "%s on %s", left ? "expires" : "expired", when);
	if (left >= 2 * DAY)
		strbuf_addf(out, ", in %llu days", (unsigned long long)(left / DAY));
	else if (left >= 2 * HOUR)
		strbuf_addf(out, ", in %llu hours", (unsigned long long)(left / HOUR));
	else if (left)
		strbuf_addf(out, ", in %llu minutes", (unsigned long long)(left / 60));
}
