/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V4_MAPPED_LEN 12 /* bytes of ::ffff:0:0/96 in front of the IPv4 address */

const char *family_name(enum family family)
{
	return family == FAMILY_V4 ? "IPv4" : "IPv6";
}

bool ip_parse(const char *text, struct ip_addr *ret)
{
	static const uint8_t mapped[V4_MAPPED_LEN] = { [10] = 0xff, [11] = 0xff };
	uint8_t bytes[16] = { 0 };
	struct ip_addr addr = { .family = FAMILY_V4 };

	if (inet_pton(AF_INET, text, bytes) == 1) {
		memcpy(addr.bytes, bytes, 4);
	} else if (inet_pton(AF_INET6, text, bytes) == 1) {
		if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
			memcpy(addr.bytes, bytes + V4_MAPPED_LEN, 4);
		} else {
			addr.family = FAMILY_V6;
			memcpy(addr.bytes, bytes, sizeof(bytes));
		}
	} else {
		return false;
	}
	*ret = addr;
	return true;
}

/* Plain decimal, no sign, no leading zero, at most max. */
static bool parse_length(const char *text, unsigned max, uint8_t *ret)
{
	unsigned value = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > max)
			return false;
	}
	*ret = (uint8_t)value;
	return true;
}

bool ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	const char *slash = strchr(text, '/');
	char addr[IP_TEXT_MAX];
	struct ip_prefix prefix;
	unsigned width;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = 0;
	if (!ip_parse(addr, &prefix.addr))
		return false;
	/* "::ffff:10.0.0.0/104" is 10.0.0.0/8: the length counts from the
	 * start of the long form. */
	width = strchr(addr, ':') ? 128 : 32;
	prefix.len = (uint8_t)width;
	if (slash && !parse_length(slash + 1, width, &prefix.len))
		return false;
	if (prefix.addr.family == FAMILY_V4 && width == 128) {
		if (prefix.len < 96)
			return false;
		prefix.len = (uint8_t)(prefix.len - 96);
	}
	*ret = prefix;
	return true;
}

static void print_v6(const uint8_t bytes[static 16], char ret[static IP_TEXT_MAX])
{
	unsigned group[8], best = 8, best_len = 1, len = 0;
	size_t at = 0;

	for (unsigned i = 0; i < 8; i++)
		group[i] = (unsigned)bytes[(size_t)2 * i] << 8 | bytes[(size_t)2 * i + 1];
	/* The longest run of two or more zero groups, the first of equals (RFC 5952 4.2). */
	for (unsigned i = 0; i < 8; i++) {
		len = group[i] ? 0 : len + 1;
		if (len > best_len) {
			best_len = len;
			best = i + 1 - len;
		}
	}
	for (unsigned i = 0; i < 8;) {
		if (i == best) {
			at += (size_t)snprintf(ret + at, IP_TEXT_MAX - at, "::");
			i += best_len;
			continue;
		}
		at += (size_t)snprintf(ret + at, IP_TEXT_MAX - at, "%s%x",
				       i && i != best + best_len ? ":" : "", group[i]);
		i++;
	}
}

void ip_print(const struct ip_addr *addr, char ret[static IP_TEXT_MAX])
{
	if (addr->family == FAMILY_V6)
		print_v6(addr->bytes, ret);
	else
		(void)snprintf(ret, IP_TEXT_MAX, "%u.%u.%u.%u", addr->bytes[0], addr->bytes[1],
			       addr->bytes[2], addr->bytes[3]);
}

void ip_prefix_print(const struct ip_prefix *prefix, char ret[static IP_TEXT_MAX])
{
	size_t len;

	ip_print(&prefix->addr, ret);
	len = strlen(ret);
	(void)snprintf(ret + len, IP_TEXT_MAX - len, "/%u", prefix->len);
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool ip_is_loopback(const struct ip_addr *addr)
{
	static const uint8_t v6[16] = { [15] = 1 };

	if (addr->family == FAMILY_V4)
		return addr->bytes[0] == 127;
	return memcmp(addr->bytes, v6, sizeof(v6)) == 0;
}

bool ip_is_unspecified(const struct ip_addr *addr)
{
	static const uint8_t zero[16];

	return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

struct ip_prefix ip_prefix_masked(const struct ip_prefix *prefix)
{
	struct ip_prefix masked = *prefix;

	for (unsigned bit = prefix->len; bit < 128; bit++)
		masked.addr.bytes[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
	return masked;
}
