/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/base/cleanup.h"
#include "common/base/parse.h"

#define TOKEN_MAX   ((size_t)64 * 1024)
#define PARTS       3 /* header, claims, signature */
#define DAY_SECONDS 86400

struct part {
	const char *text;
	size_t len;
};

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* base64url without padding (RFC 7515, 2). buf takes 3 bytes for every 4 characters. */
static bool decode(const struct part *part, unsigned char *buf, size_t *ret_len)
{
	unsigned bits = 0, n_bits = 0;
	size_t len = 0;

	if (part->len % 4 == 1)
		return false;
	for (size_t i = 0; i < part->len; i++) {
		int value = sextet(part->text[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (unsigned)value) & 0xfff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			buf[len++] = (unsigned char)(bits >> n_bits & 0xff);
		}
	}
	*ret_len = len;
	return true;
}

static bool split(const char *text, size_t len, struct part ret[static PARTS])
{
	size_t n = 0, start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '.')
			continue;
		if (n == PARTS)
			return false;
		ret[n++] = (struct part){ text + start, i - start };
		start = i + 1;
	}
	return n == PARTS;
}

/* "2026-11-23 04:05:06 UTC" of a Unix time; the calendar repeats every 400 years of 146097 days. */
static void print_time(uint64_t sec, char *buf, size_t size)
{
	uint64_t day = sec / DAY_SECONDS + 719468; /* from 0000-03-01 */
	uint64_t era = day / 146097;
	unsigned rest = (unsigned)(day % 146097);
	unsigned year = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
	unsigned in_year = rest - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * in_year + 2) / 153; /* March is 0 */
	unsigned in_month = in_year - (153 * month + 2) / 5 + 1;
	unsigned clock = (unsigned)(sec % DAY_SECONDS);

	(void)snprintf(buf, size, "%llu-%02u-%02u %02u:%02u:%02u UTC",
		       (unsigned long long)year + era * 400ULL + (month >= 10),
		       month < 10 ? month + 3 : month - 9, in_month, clock / 3600, clock / 60 % 60,
		       clock % 60);
}

static int check_expiry(const char *text, uint64_t now_sec, struct error *err)
{
	size_t digits = strspn(text, "0123456789");
	char number[24], when[64];
	uint64_t exp;

	/* A fraction of a second is allowed (RFC 7519, 2) and makes no difference here. */
	if (!digits || digits >= sizeof(number) || (text[digits] && text[digits] != '.'))
		return error_set(err, -EINVAL, "its exp is not a time in seconds");
	memcpy(number, text, digits);
	number[digits] = 0;
	if (!parse_decimal(number, UINT64_MAX / 2, &exp))
		return error_set(err, -EINVAL, "its exp is not a time in seconds");
	if (exp > now_sec)
		return 0;
	print_time(exp, when, sizeof(when));
	return error_set(err, -EINVAL, "it expired on %s", when);
}

/* Looks for exp in an object; without one the token never expires. */
static int check_claims(yaml_document_t *doc, uint64_t now_sec, struct error *err)
{
	const yaml_node_t *root = yaml_document_get_root_node(doc);
	const yaml_node_pair_t *pair;

	if (!root || root->type != YAML_MAPPING_NODE)
		return error_set(err, -EINVAL, "it is not a JWT: its claims are no JSON object");
	for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(doc, pair->key);
		const yaml_node_t *value = yaml_document_get_node(doc, pair->value);

		if (key->type != YAML_SCALAR_NODE ||
		    strcmp((const char *)key->data.scalar.value, "exp") != 0)
			continue;
		if (value->type != YAML_SCALAR_NODE)
			return error_set(err, -EINVAL, "its exp is not a time in seconds");
		if (strcmp((const char *)value->data.scalar.value, "null") == 0)
			return 0;
		return check_expiry((const char *)value->data.scalar.value, now_sec, err);
	}
	return 0;
}

/* JSON is read as the YAML that it nearly is; what YAML takes beyond JSON does no harm here. What
 * libyaml does not take are some escapes in strings ("\/", surrogates): none of them matters to us,
 * so they go first. */
static int check_json(unsigned char *text, size_t len, uint64_t now_sec, struct error *err)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int r;

	if (!len || text[0] != '{' || memchr(text, 0, len))
		return error_set(err, -EINVAL, "it is not a JWT: its claims are no JSON object");
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '\\') {
			text[i++] = 'x';
			text[i] = 'x';
		}
	if (!yaml_parser_initialize(&parser))
		return error_sys(err, -ENOMEM, "read token");
	yaml_parser_set_input_string(&parser, text, len);
	if (yaml_parser_load(&parser, &doc)) {
		r = check_claims(&doc, now_sec, err);
		yaml_document_delete(&doc);
	} else {
		r = error_set(err, -EINVAL, "it is not a JWT: its claims are no JSON object");
	}
	yaml_parser_delete(&parser);
	return r;
}

int token_check(const char *text, size_t len, uint64_t now_sec, struct error *err)
{
	static const char blanks[] = " \t\r\n";
	struct part parts[PARTS];
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
	if (!split(text, len, parts) || !parts[0].len || !parts[1].len)
		return error_set(err, -EINVAL,
				 "it is not a JWT: three parts with dots between them are wanted");
	claims = malloc(len);
	if (!claims)
		return error_sys(err, -ENOMEM, "read token");
	/* The claims come last: they stay in the buffer. */
	if (!decode(&parts[0], claims, &claims_len) || !decode(&parts[2], claims, &claims_len) ||
	    !decode(&parts[1], claims, &claims_len))
		return error_set(err, -EINVAL, "it is not a JWT: a part of it is not base64url");
	return check_json(claims, claims_len, now_sec, err);
}
