/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "common/base/ip.h"

static void expect_addr(const char *text, const char *canonical)
{
	char printed[IP_TEXT_MAX];
	struct ip_addr addr;

	cr_assert(ip_parse(text, &addr), "%s", text);
	ip_print(&addr, printed);
	cr_assert_str_eq(printed, canonical);
}

static void expect_prefix(const char *text, const char *canonical, const char *masked)
{
	char printed[IP_TEXT_MAX];
	struct ip_prefix prefix;

	cr_assert(ip_prefix_parse(text, &prefix), "%s", text);
	ip_prefix_print(&prefix, printed);
	cr_assert_str_eq(printed, canonical);
	prefix = ip_prefix_masked(&prefix);
	ip_prefix_print(&prefix, printed);
	cr_assert_str_eq(printed, masked);
}

Test(ip, prints_addresses_in_canonical_form)
{
	expect_addr("10.0.0.1", "10.0.0.1");
	expect_addr("255.255.255.255", "255.255.255.255");
	expect_addr("::", "::");
	expect_addr("::1", "::1");
	expect_addr("fe80:0:0:0:0:0:0:1", "fe80::1");
	expect_addr("2001:DB8::A:0:0:1", "2001:db8::a:0:0:1");
	expect_addr("1:0:0:2:0:0:0:3", "1:0:0:2::3");
	expect_addr("1:0:0:2:3:0:0:4", "1::2:3:0:0:4");
	expect_addr("1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0");
	expect_addr("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::");
	expect_addr("::1.2.3.4", "::102:304");
}

Test(ip, takes_a_mapped_address_for_ipv4)
{
	struct ip_addr addr;

	expect_addr("::ffff:10.1.2.3", "10.1.2.3");
	cr_assert(ip_parse("::ffff:a01:203", &addr));
	cr_assert_eq(addr.family, FAMILY_V4);
	expect_prefix("::ffff:10.0.0.0/104", "10.0.0.0/8", "10.0.0.0/8");
}

Test(ip, refuses_what_is_no_address)
{
	static const char *const wrong[] = { "",           "10.0.0", "10.0.0.256", "010.0.0.1",
					     "10.0.0.1 ",  " ::1",   "fe80::1%lo", "1::2::3",
					     "10.0.0.1/8", "g::",    ":::",        "10.0.0.1\n" };
	struct ip_addr addr = { .bytes = { 42 } };

	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		cr_assert_not(ip_parse(wrong[i], &addr), "%s", wrong[i]);
	cr_assert_eq(addr.bytes[0], 42, "a failure leaves the result alone");
}

Test(ip, parses_prefixes_and_clears_host_bits)
{
	expect_prefix("10.1.2.3", "10.1.2.3/32", "10.1.2.3/32");
	expect_prefix("172.32.16.8/16", "172.32.16.8/16", "172.32.0.0/16");
	expect_prefix("10.1.2.255/31", "10.1.2.255/31", "10.1.2.254/31");
	expect_prefix("0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0");
	expect_prefix("::1/64", "::1/64", "::/64");
	expect_prefix("fe80::1", "fe80::1/128", "fe80::1/128");
	expect_prefix("ffff::/3", "ffff::/3", "e000::/3");
}

Test(ip, refuses_prefix_lengths_that_are_not_plain)
{
	static const char *const wrong[] = { "10.0.0.1/",   "10.0.0.1/33", "10.0.0.1/032",
					     "10.0.0.1/+8", "10.0.0.1/08", "::1/129",
					     "10.0.0.1/8/", "/8",          "::ffff:10.0.0.0/95" };
	struct ip_prefix prefix;

	for (size_t i = 0; i < ELEMENTS(wrong); i++)
		cr_assert_not(ip_prefix_parse(wrong[i], &prefix), "%s", wrong[i]);
}

Test(ip, knows_loopback_and_unspecified_addresses)
{
	static const struct {
		const char *text;
		bool loopback, unspecified;
	} rows[] = {
		{ "127.0.0.1", true, false },  { "127.255.0.9", true, false },
		{ "128.0.0.1", false, false }, { "::1", true, false },
		{ "::2", false, false },       { "0.0.0.0", false, true },
		{ "::", false, true },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct ip_addr addr;

		cr_assert(ip_parse(rows[i].text, &addr));
		cr_assert_eq(ip_is_loopback(&addr), rows[i].loopback, "%s", rows[i].text);
		cr_assert_eq(ip_is_unspecified(&addr), rows[i].unspecified, "%s", rows[i].text);
	}
}

Test(ip, compares_family_and_bytes)
{
	struct ip_addr v4, v6, other;

	cr_assert(ip_parse("0.0.0.0", &v4));
	cr_assert(ip_parse("::", &v6));
	cr_assert(ip_parse("0.0.0.1", &other));
	cr_assert(ip_equal(&v4, &v4));
	cr_assert_not(ip_equal(&v4, &v6));
	cr_assert_not(ip_equal(&v4, &other));
	cr_assert_str_eq(family_name(FAMILY_V4), "IPv4");
	cr_assert_str_eq(family_name(FAMILY_V6), "IPv6");
}

Test(ip, masks_have_as_many_bits_as_the_prefix)
{
	uint8_t mask[16];

	for (unsigned len = 0; len <= 128; len++) {
		ip_mask((uint8_t)len, mask);
		for (unsigned bit = 0; bit < 128; bit++)
			cr_expect_eq(mask[bit / 8] >> (7 - bit % 8) & 1, bit < len, "%u: %u", len,
				     bit);
	}
}
