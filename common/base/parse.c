/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/parse.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool parse_decimal(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		unsigned digit = (unsigned)(unsigned char)*text - '0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

static unsigned digit_value(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return found ? (unsigned)(found - digits) : 16;
}

bool parse_uint(const char *text, uint64_t max, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t value = 0;
	bool underscore_ok = false; /* "_" may follow a digit or the base's prefix */
	bool digits = false;

	if (text[0] == '0' && text[1]) {
		char prefix = (char)tolower((unsigned char)text[1]);

		base = prefix == 'x' ? 16 : prefix == 'b' ? 2 : 8;
		text += prefix == 'x' || prefix == 'b' || prefix == 'o' ? 2 : 1;
		underscore_ok = true;
		digits = text[-1] == '0';
	}
	for (; *text; text++) {
		unsigned digit = digit_value(*text);

		if (*text == '_') {
			if (!underscore_ok || !text[1])
				return false;
			underscore_ok = false;
			continue;
		}
		if (digit >= base || value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
		underscore_ok = digits = true;
	}
	if (!digits || value > max)
		return false;
	*ret = value;
	return true;
}

bool parse_port(const char *text, uint16_t *ret)
{
	uint64_t value;

	if (!parse_decimal(text, UINT16_MAX, &value) || value == 0)
		return false;
	*ret = (uint16_t)value;
	return true;
}

bool parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

	for (size_t i = 0; i < ELEMENTS(yes); i++) {
		*ret = strcmp(text, yes[i]) == 0;
		if (*ret || strcmp(text, no[i]) == 0)
			return true;
	}
	return false;
}

static const struct unit {
	const char *name;
	int64_t nsec;
} units[] = {
	/* Longer names first where one is the beginning of another. */
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 }, /* U+00B5, micro sign */
	{ "\xce\xbcs", 1000 }, /* U+03BC, Greek mu */
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", INT64_C(60) * 1000000000 },
	{ "h", INT64_C(3600) * 1000000000 },
};

/* One "<decimal><unit>"; advances *text. */
static bool parse_part(const char **text, int64_t *ret_nsec)
{
	const char *p = *text;
	int64_t whole = 0;
	double fraction = 0, scale = 1;
	bool digits = false;

	for (; isdigit((unsigned char)*p); p++, digits = true) {
		if (whole > (INT64_MAX - (*p - '0')) / 10)
			return false;
		whole = whole * 10 + (*p - '0');
	}
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++, digits = true) {
			scale /= 10;
			fraction += (*p - '0') * scale;
		}
	if (!digits)
		return false;
	for (size_t i = 0; i < ELEMENTS(units); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(p, units[i].name, len) != 0)
			continue;
		if (p[len] && !isdigit((unsigned char)p[len]) && p[len] != '.')
			continue;
		if (whole > INT64_MAX / units[i].nsec)
			return false;
		*ret_nsec = whole * units[i].nsec;
		whole = (int64_t)(fraction * (double)units[i].nsec + 0.5e-3);
		if (*ret_nsec > INT64_MAX - whole)
			return false;
		*ret_nsec += whole;
		*text = p + len;
		return true;
	}
	return false;
}

bool parse_duration(const char *text, int64_t *ret_nsec)
{
	bool negative = *text == '-';
	int64_t sum = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (strcmp(text, "0") == 0) {
		*ret_nsec = 0;
		return true;
	}
	if (!*text)
		return false;
	while (*text) {
		int64_t part;

		if (!parse_part(&text, &part) || part > INT64_MAX - sum)
			return false;
		sum += part;
	}
	*ret_nsec = negative ? -sum : sum;
	return true;
}

void print_duration(int64_t nsec, char ret[static 32])
{
	static const struct {
		uint64_t nsec;
		int digits; /* behind the point */
		const char *name;
	} steps[] = { { 1, 0, "ns" },
		      { 1000, 3, "\xc2\xb5s" },
		      { 1000000, 6, "ms" },
		      { 1000000000, 9, "s" } };
	uint64_t rest = nsec < 0 ? (uint64_t)0 - (uint64_t)nsec : (uint64_t)nsec;
	uint64_t minutes = rest / 60000000000U;
	size_t at = 0, step = 0;

	if (rest == 0) {
		memcpy(ret, "0s", 3);
		return;
	}
	while (step + 1 < ELEMENTS(steps) && rest >= steps[step + 1].nsec)
		step++;
	rest %= 60000000000U;
	if (nsec < 0)
		ret[at++] = '-';
	if (minutes >= 60)
		at += (size_t)snprintf(ret + at, 32 - at, "%" PRIu64 "h", minutes / 60);
	if (minutes)
		at += (size_t)snprintf(ret + at, 32 - at, "%" PRIu64 "m", minutes % 60);
	at += (size_t)snprintf(ret + at, 32 - at, "%" PRIu64 ".%0*" PRIu64, rest / steps[step].nsec,
			       steps[step].digits, rest % steps[step].nsec);
	/* Without zeros at the end, and without a point in front of nothing. */
	while (ret[at - 1] == '0')
		at--;
	if (ret[at - 1] == '.')
		at--;
	(void)snprintf(ret + at, 32 - at, "%s", steps[step].name);
}

unsigned edit_distance(const char *a, const char *b, unsigned limit)
{
	enum { MAX = 64 };
	unsigned row[3][MAX + 1];
	size_t na = strlen(a), nb = strlen(b);

	if (na > MAX || nb > MAX)
		return limit + 1;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3], *before = row[(i - 1) % 3], *twice = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			int ca = tolower((unsigned char)a[i - 1]),
			    cb = tolower((unsigned char)b[j - 1]);
			unsigned best = before[j - 1] + (ca != cb);

			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]) && twice[j - 2] + 1 < best)
				best = twice[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[na % 3][nb] > limit ? limit + 1 : row[na % 3][nb];
}

char *trim(char *text, const char *blanks)
{
	size_t len;

	text += strspn(text, blanks);
	for (len = strlen(text); len && strchr(blanks, text[len - 1]);)
		text[--len] = 0;
	return text;
}
