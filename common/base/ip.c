/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

#define V4_MAPPED_LEN 12 /* bytes of ::ffff:0:0/96 in front of the IPv4 address */

const char *family_name(enum family family)
{
	return family == FAMILY_V4 ? "IPv4" : "IPv6";
}

int family_domain(enum family family)
{
	return family == FAMILY_V4 ? AF_INET : AF_INET6;
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

bool ip_prefix_parse(const char *text, struct ip_prefix *ret)
{
	const char *slash = strchr(text, '/');
	char addr[IP_TEXT_MAX];
	struct ip_prefix prefix;
	uint64_t width, prefix_len;
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = 0;
	if (!ip_parse(addr, &prefix.addr))
		return false;
	/* "::ffff:10.0.0.0/104" is 10.0.0.0/8: the length counts from the
	 * start of the long form. */
	width = prefix_len = strchr(addr, ':') ? 128 : 32;
	if (slash &&
	    ((slash[1] == '0' && slash[2]) || !parse_decimal(slash + 1, width, &prefix_len)))
		return false;
	if (prefix.addr.family == FAMILY_V4 && width == 128) {
		if (prefix_len < 96)
			return false;
		prefix_len -= 96;
	}
	prefix.len = (uint8_t)prefix_len;
	*ret = prefix;
	return true;
}

void ip_print(const struct ip_addr *addr, char ret[static IP_TEXT_MAX])
{
	static const uint8_t zero[10];
	const uint8_t *b = addr->bytes;
	unsigned mark = (unsigned)b[10] << 8 | b[11], high = (unsigned)b[12] << 8 | b[13];
	bool v6 = addr->family == FAMILY_V6;

	/* Where an IPv4 address is the end of an IPv6 one inet_ntop() prints dots. */
	if (v6 && memcmp(b, zero, sizeof(zero)) == 0 && (mark == 0xffff || (mark == 0 && high)))
		(void)snprintf(ret, IP_TEXT_MAX, "::%s%x:%x", mark ? "ffff:" : "", high,
			       (unsigned)b[14] << 8 | b[15]);
	else
		(void)inet_ntop(v6 ? AF_INET6 : AF_INET, b, ret, IP_TEXT_MAX);
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

bool ip_is_link_local(const struct ip_addr *addr)
{
	const uint8_t *b = addr->bytes;

	return addr->family == FAMILY_V4 ? b[0] == 169 && b[1] == 254
					 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool ip_is_unspecified(const struct ip_addr *addr)
{
	static const uint8_t zero[16];

	return memcmp(addr->bytes, zero, sizeof(zero)) == 0;
}

void ip_mask(uint8_t len, uint8_t ret[static 16])
{
	memset(ret, 0, 16);
	memset(ret, 0xff, len / 8);
	if (len % 8)
		ret[len / 8] = (uint8_t)(0xff00U >> len % 8);
}

struct ip_prefix ip_prefix_masked(const struct ip_prefix *prefix)
{
	struct ip_prefix masked = *prefix;
	uint8_t mask[16];

	ip_mask(prefix->len, mask);
	for (size_t i = 0; i < sizeof(mask); i++)
		masked.addr.bytes[i] &= mask[i];
	return masked;
}
