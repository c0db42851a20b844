/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/rules/nft_interval.h"

static struct nft_interval prefix(const char *text)
{
	struct ip_prefix parsed;

	cr_assert(ip_prefix_parse(text, &parsed));
	return nft_interval_prefix(&parsed);
}

Test(nft_interval, is_joined_where_it_overlaps_or_touches)
{
	struct nft_interval ports[] = {
		nft_interval_ports(9, 9),   nft_interval_ports(1, 5), nft_interval_ports(2, 3),
		nft_interval_ports(6, 6),   nft_interval_ports(8, 8), nft_interval_ports(9, 9),
		nft_interval_ports(11, 11),
	};
	size_t n = nft_intervals_join(ports, ELEMENTS(ports), 2);

	cr_assert_eq(n, 3);
	cr_expect_eq(nft_number(NFT_TYPE_PORT, ports[0].lo), 1);
	cr_expect_eq(nft_number(NFT_TYPE_PORT, ports[0].hi), 6);
	cr_expect_eq(nft_number(NFT_TYPE_PORT, ports[1].lo), 8);
	cr_expect_eq(nft_number(NFT_TYPE_PORT, ports[1].hi), 9);
	cr_expect_eq(nft_number(NFT_TYPE_PORT, ports[2].hi), 11);
	cr_expect_eq(nft_intervals_join(ports, 0, 2), 0);
}

Test(nft_interval, one_may_reach_the_last_value)
{
	struct nft_interval uids[] = {
		nft_interval_uids(7, 0xffffffff),
		nft_interval_uids(0xfffffff0, 0xffffffff),
		nft_interval_uids(256, 256),
	};
	uint8_t after[16];

	cr_expect_eq(nft_intervals_join(uids, ELEMENTS(uids), 4), 1);
	cr_expect_not(nft_interval_after(&uids[0], 4, after));
	uids[0] = nft_interval_uids(0, 0xffff);
	cr_expect(nft_interval_after(&uids[0], 4, after));
	cr_expect_eq(nft_number(NFT_TYPE_UID, after), 0x10000);
}

Test(nft_interval, networks_within_each_other_are_the_larger_one)
{
	struct nft_interval nets[] = { prefix("10.1.2.3/24"), prefix("10.0.0.0/8"),
				       prefix("192.168.0.1/32"), prefix("9.255.0.0/16") };

	cr_assert_eq(nft_intervals_join(nets, ELEMENTS(nets), 4), 2);
	cr_expect_eq(memcmp(nets[0].lo, "\x09\xff\0\0", 4), 0);
	cr_expect_eq(memcmp(nets[0].hi, "\x0a\xff\xff\xff", 4), 0);
	cr_expect_eq(nft_prefix_length(&nets[0], 4), -1);
	cr_expect_eq(nft_prefix_length(&nets[1], 4), 32);
}

Test(nft_interval, knows_a_prefix)
{
	struct nft_interval all = prefix("::/0"), some = prefix("fd00::/9");
	uint8_t after[16];

	cr_expect_eq(nft_prefix_length(&all, 16), 0);
	cr_expect_eq(nft_prefix_length(&some, 16), 9);
	cr_expect_not(nft_interval_after(&all, 16, after));
	some.hi[15] = 0xfe;
	cr_expect_eq(nft_prefix_length(&some, 16), -1);
}
