/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/exclusion.h"

#include <netinet/in.h>
#include <string.h>

#include <criterion/criterion.h>

static struct arena arena;

static void done(void)
{
	arena_done(&arena);
}

TestSuite(uids, .fini = done);
TestSuite(nets, .fini = done);
TestSuite(vnet, .fini = done);

static struct uid_exclusion_list good_uids(const char *entry)
{
	struct uid_exclusion_list list = { 0 };
	struct error err = { 0 };

	cr_assert_eq(exclusion_parse_uids(&arena, entry, &list, &err), 0, "%s", err.text);
	return list;
}

static void bad_uids(const char *entry, const char *words)
{
	struct uid_exclusion_list list = { 0 };
	struct error err = { 0 };

	cr_expect_lt(exclusion_parse_uids(&arena, entry, &list, &err), 0, "'%s' passed", entry);
	cr_expect(strstr(err.text, words), "'%s' has no '%s'", err.text, words);
	cr_expect_eq(list.n, 0);
}

Test(uids, are_for_all_ports_of_both_protocols_where_they_stand_alone)
{
	struct uid_exclusion_list list = good_uids("1003");

	cr_assert_eq(list.n, 2);
	cr_expect_eq(list.items[0].proto, IPPROTO_TCP);
	cr_expect_eq(list.items[1].proto, IPPROTO_UDP);
	cr_expect_eq(list.items[0].n_ports, 1);
	cr_expect_eq(list.items[0].ports[0].lo, 1);
	cr_expect_eq(list.items[0].ports[0].hi, 65535);
	cr_expect_str_eq(list.items[0].ports_text, "1:65535");
	cr_expect_eq(list.items[0].uid_lo, 1003);
	cr_expect_eq(list.items[0].uid_hi, 1003);
	cr_expect_str_eq(list.items[0].uids_text, "1003");
}

Test(uids, come_with_ports_and_a_protocol)
{
	struct uid_exclusion_list list = good_uids("tcp:1900,1902,1000-2000:106-108");

	cr_assert_eq(list.n, 1);
	cr_expect_eq(list.items[0].proto, IPPROTO_TCP);
	cr_assert_eq(list.items[0].n_ports, 3);
	cr_expect_eq(list.items[0].ports[1].lo, 1902);
	cr_expect_eq(list.items[0].ports[1].hi, 1902);
	cr_expect_eq(list.items[0].ports[2].lo, 1000);
	cr_expect_eq(list.items[0].ports[2].hi, 2000);
	cr_expect_str_eq(list.items[0].ports_text, "1900,1902,1000:2000");
	cr_expect_eq(list.items[0].uid_lo, 106);
	cr_expect_eq(list.items[0].uid_hi, 108);
	cr_expect_str_eq(list.items[0].uids_text, "106:108");
}

Test(uids, take_wildcards_empty_parts_any_case_and_blanks)
{
	cr_expect_eq(good_uids("22:1002").n, 2);
	cr_expect_eq(good_uids("*:*:1").n, 2);
	cr_expect_eq(good_uids("::1").n, 2);
	cr_expect_eq(good_uids("UDP::1").items[0].proto, IPPROTO_UDP);
	cr_expect_eq(good_uids(" udp , tcp :53:1").n, 2);
	cr_expect_eq(good_uids("udp,tcp:53:1").items[0].proto, IPPROTO_UDP);
	cr_expect_eq(good_uids("tcp,:1:1").n, 1);
	cr_expect_eq(good_uids("0:0").items[0].ports[0].lo, 0);
}

Test(uids, may_be_beyond_16_bits)
{
	cr_expect_eq(good_uids("65536").items[0].uid_lo, 65536);
	cr_expect_eq(good_uids("4294967294").items[0].uid_hi, 4294967294U);
	bad_uids("4294967295", "from 0 to 4294967294");
}

Test(uids, cannot_be_missing_or_everybody)
{
	bad_uids("", "no UID");
	bad_uids("22:", "no UID");
	bad_uids("tcp:22:", "no UID");
	bad_uids("*", "every user");
	bad_uids("tcp:22:*", "every user");
}

Test(uids, are_one_number_or_one_range)
{
	bad_uids("1,2", "more than one UID");
	bad_uids("root", "'root' is not a UID");
	bad_uids("-1", "'-1' is not a UID");
	bad_uids("1-", "'1-' is not a UID");
	bad_uids("1-2-3", "'1-2-3' is not a UID");
	bad_uids("5-3", "runs backwards");
	bad_uids("1 2", "is not a UID");
	bad_uids("22: 1", "' 1' is not a UID");
	bad_uids(" ", "' ' is not a UID");
	cr_expect_eq(good_uids("7-7").items[0].uid_hi, 7);
}

Test(uids, have_no_leading_zeros_which_iptables_reads_as_octal)
{
	bad_uids("010", "leading zeros");
	bad_uids("tcp:010:1", "leading zeros");
}

Test(uids, refuse_ports_that_iptables_would_refuse)
{
	bad_uids("tcp:65536:1", "'65536' is not a port");
	bad_uids("tcp:http:1", "'http' is not a port");
	bad_uids("tcp:1-2-3:1", "'1-2-3' is not a port");
	bad_uids("tcp:,:1", "'' is not a port");
	bad_uids("tcp:80,:1", "'' is not a port");
	bad_uids("tcp:80, 90:1", "' 90' is not a port");
	bad_uids("tcp: 80:1", "' 80' is not a port");
	bad_uids("tcp:90-80:1", "'90-80' does not run upwards");
	bad_uids("tcp:80-80:1", "'80-80' does not run upwards");
}

Test(uids, take_fifteen_slots_and_no_more)
{
	cr_expect_eq(good_uids("tcp:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15:1").items[0].n_ports, 15);
	bad_uids("tcp:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16:1", "16 ports");
	cr_expect_eq(good_uids("tcp:1-2,3-4,5-6,7-8,9-10,11-12,13-14,15:1").items[0].n_ports, 8);
	bad_uids("tcp:1-2,3-4,5-6,7-8,9-10,11-12,13-14,15-16:1", "at most 15");
}

Test(uids, refuse_protocols_other_than_tcp_and_udp)
{
	bad_uids("sctp:1:1", "'sctp' is not a protocol");
	bad_uids("6:1:1", "expected tcp or udp");
	bad_uids(",:1:1", "no protocol");
	bad_uids(" , :1:1", "no protocol");
}

Test(uids, refuse_a_fourth_part)
{
	bad_uids("tcp:1:1:1", "too many parts");
}

static void good_nets(const char *entry, struct net_list ret[static FAMILY_COUNT])
{
	struct error err = { 0 };

	cr_assert_eq(exclusion_parse_nets(&arena, entry, ret, &err), 0, "%s", err.text);
}

static void bad_nets(const char *entry, const char *words)
{
	struct net_list nets[FAMILY_COUNT] = { 0 };
	struct error err = { 0 };

	cr_expect_lt(exclusion_parse_nets(&arena, entry, nets, &err), 0, "'%s' passed", entry);
	cr_expect(strstr(err.text, words), "'%s' has no '%s'", err.text, words);
}

Test(nets, go_to_their_family_with_the_text_as_written)
{
	struct net_list nets[FAMILY_COUNT] = { 0 };

	good_nets("192.168.0.1,172.32.16.8/16,fe80::/10", nets);
	good_nets("FD00::/8", nets);
	cr_assert_eq(nets[FAMILY_V4].n, 2);
	cr_assert_eq(nets[FAMILY_V6].n, 2);
	cr_expect_str_eq(nets[FAMILY_V4].items[1].text, "172.32.16.8/16");
	cr_expect_eq(nets[FAMILY_V4].items[1].prefix.len, 16);
	cr_expect_eq(nets[FAMILY_V4].items[0].prefix.len, 32);
	cr_expect_str_eq(nets[FAMILY_V6].items[1].text, "FD00::/8");
}

Test(nets, skip_blank_items)
{
	struct net_list nets[FAMILY_COUNT] = { 0 };

	good_nets(",10.0.0.1,, ,10.0.0.2,", nets);
	cr_assert_eq(nets[FAMILY_V4].n, 2);
	cr_expect_str_eq(nets[FAMILY_V4].items[1].text, "10.0.0.2");
}

Test(nets, keep_the_spaces_around_them_for_print)
{
	struct net_list nets[FAMILY_COUNT] = { 0 };

	good_nets("10.0.0.1 ,  10.0.0.2 ,\t10.0.0.3", nets);
	cr_expect_str_eq(nets[FAMILY_V4].items[0].text, "10.0.0.1 ");
	cr_expect_str_eq(nets[FAMILY_V4].items[1].text, "  10.0.0.2 ");
	cr_expect_str_eq(nets[FAMILY_V4].items[2].text, "10.0.0.3");
}

Test(nets, are_no_mapped_addresses_which_iptables_cannot_read)
{
	bad_nets("::ffff:10.0.0.2", "notation of IPv6");
	bad_nets("10.0.0.1,::ffff:10.0.0.0/104", "'::ffff:10.0.0.0/104'");
}

Test(nets, are_not_nothing)
{
	bad_nets("", "no address");
	bad_nets(" ", "no address");
	bad_nets(",", "no address");
}

Test(nets, are_addresses_with_plain_lengths)
{
	bad_nets("10.0.0.1,example.com", "'example.com' is not an address");
	bad_nets("10.0.0.1/33", "'10.0.0.1/33'");
	bad_nets("10.0.0.1/032", "'10.0.0.1/032'");
	bad_nets("10.0.0.1/+8", "'10.0.0.1/+8'");
	bad_nets("fe80::1%eth0", "'fe80::1%eth0'");
	bad_nets("10.0.0.1\n", "<ip>/<length>");
	bad_nets("80", "'80' is not an address");
}

static void bad_vnet(const char *entry, const char *words)
{
	struct error err = { 0 };
	struct vnet vnet;

	cr_expect_lt(exclusion_parse_vnet(&arena, entry, &vnet, &err), 0, "'%s' passed", entry);
	cr_expect(strstr(err.text, words), "'%s' has no '%s'", err.text, words);
}

Test(vnet, splits_at_the_first_colon)
{
	struct error err = { 0 };
	struct vnet vnet;

	cr_assert_eq(exclusion_parse_vnet(&arena, "iface:::1/64", &vnet, &err), 0);
	cr_expect_str_eq(vnet.iface, "iface");
	cr_expect_str_eq(vnet.net.text, "::1/64");
	cr_expect_eq(vnet.net.prefix.addr.family, FAMILY_V6);
	cr_assert_eq(exclusion_parse_vnet(&arena, "br+:172.18.0.0/16", &vnet, &err), 0);
	cr_expect_str_eq(vnet.iface, "br+");
	cr_expect_eq(vnet.net.prefix.len, 16);
}

Test(vnet, needs_an_interface_that_the_kernel_can_have)
{
	bad_vnet("docker0", "expected <interface>:<ip>/<length>");
	bad_vnet(":10.0.0.0/8", "not an interface's name");
	bad_vnet("averyverylongname:10.0.0.0/8", "'averyverylongname'");
	bad_vnet("a b:10.0.0.0/8", "no blanks");
	bad_vnet("a/b:10.0.0.0/8", "no blanks, slashes");
}

Test(vnet, needs_a_network_with_a_length)
{
	bad_vnet("docker0:172.17.0.0", "'172.17.0.0' is not a network");
	bad_vnet("docker0:172.17.0.0/33", "'172.17.0.0/33'");
	bad_vnet("docker0: 172.17.0.0/16", "is not a network");
	bad_vnet("docker0:172.17.0.0/16\n", "is not a network");
	bad_vnet("docker0:", "'' is not a network");
	bad_vnet("docker0:::ffff:10.0.0.0/104", "notation of IPv6");
}
