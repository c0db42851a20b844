/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* IP addresses and prefixes as values. Address families are an index here, so that "for each
 * family" is a loop over two. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

enum family {
	FAMILY_V4,
	FAMILY_V6,
	FAMILY_COUNT,
};

/* "IPv4", "IPv6". */
const char *family_name(enum family family);

/* AF_INET, AF_INET6. */
int family_domain(enum family family);

struct ip_addr {
	enum family family;
	uint8_t bytes[16]; /* network order; the first four for IPv4, the rest zero */
};

struct ip_prefix {
	struct ip_addr addr; /* host bits as given; ip_prefix_masked() clears them */
	uint8_t len;         /* 0..32 or 0..128 */
};

#define IP_TEXT_MAX 64 /* bytes that hold any address or prefix as text, with NUL */

/* Text to address. An IPv4-mapped IPv6 address is IPv4, as in Go's net package. Zones are refused.
 * Returns false, and leaves ret alone, on anything that is not an address. */
bool ip_parse(const char *text, struct ip_addr *ret) _must_check_;

/* "ADDR/LEN", with LEN in plain decimal without leading zeros or sign; without "/LEN" the full
 * length. Host bits may be set. */
bool ip_prefix_parse(const char *text, struct ip_prefix *ret) _must_check_;

/* Canonical text (RFC 5952; IPv4-compatible addresses are printed in hexadecimal, as Go does). */
void ip_print(const struct ip_addr *addr, char ret[static IP_TEXT_MAX]);
void ip_prefix_print(const struct ip_prefix *prefix, char ret[static IP_TEXT_MAX]);

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);
bool ip_is_loopback(const struct ip_addr *addr);   /* 127.0.0.0/8, ::1 */
bool ip_is_link_local(const struct ip_addr *addr); /* 169.254.0.0/16, fe80::/10 */
bool ip_is_unspecified(const struct ip_addr *addr);

/* The mask of a prefix of this length. */
void ip_mask(uint8_t len, uint8_t ret[static 16]);

/* The same prefix with all host bits cleared. */
struct ip_prefix ip_prefix_masked(const struct ip_prefix *prefix);
