/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One rule that stands for the elements of a list: what it expands to. */

#include "tests/unit/rules_plans.h"

#define RULE_FOR(KIND, LIST)                                                     \
	{                                                                        \
		.comment = "(%s)", .each = {(KIND), { (LIST).items }, (LIST).n } \
	}

static struct rule at(const struct rule *rule, size_t n, struct rule_text *text)
{
	struct rule expanded = { 0 };

	cr_assert_lt(n, rule_count(rule));
	cr_assert(rule_at(rule, n, &expanded, text));
	cr_expect_eq(expanded.each.kind, EACH_NONE);
	return expanded;
}

Test(rule, without_a_list_stands_for_itself)
{
	struct rule rule = { .comment = "a %s stays", .proto = IPPROTO_TCP, .syn = OP_NOT };
	struct rule_text text;
	struct rule expanded = at(&rule, 0, &text);

	cr_expect_eq(rule_count(&rule), 1);
	cr_expect_eq(expanded.proto, IPPROTO_TCP);
	cr_expect_eq(expanded.syn, OP_NOT);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "a %s stays");
}

Test(rule, without_a_comment_has_an_empty_one)
{
	struct rule rule = { .proto = IPPROTO_UDP };
	struct rule_text text;

	(void)at(&rule, 0, &text);
	cr_expect_str_empty(text.comment);
}

Test(rule, of_ports_has_each_as_destination)
{
	_arena_ struct arena arena = { 0 };
	struct port_list ports = PORTS(&arena, 80, 65535);
	struct rule rule = RULE_FOR(EACH_DPORT, ports);
	struct rule_text text;

	cr_expect_eq(rule_count(&rule), 2);
	cr_expect_eq(at(&rule, 0, &text).dport, 80);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "(80)");
	cr_expect_eq(at(&rule, 1, &text).dport, 65535);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "(65535)");
}

Test(rule, of_networks_keeps_the_text_that_the_user_wrote)
{
	_arena_ struct arena arena = { 0 };
	struct net_list nets = NETS(&arena, "172.32.16.8/16", "fe80::0");
	struct rule from = RULE_FOR(EACH_SRC, nets), to = RULE_FOR(EACH_DST, nets);
	struct rule_text text;
	struct rule expanded = at(&from, 0, &text);

	cr_expect_eq(expanded.src.op, OP_IS);
	cr_expect_eq(expanded.src.net.len, 16);
	cr_expect_str_eq(expanded.src.text, "172.32.16.8/16");
	cr_expect_eq(expanded.dst.op, OP_ANY);
	expanded = at(&to, 1, &text);
	cr_expect_str_eq(expanded.dst.text, "fe80::0");
	cr_expect_eq(expanded.dst.net.addr.family, FAMILY_V6);
	cr_expect_eq(expanded.src.op, OP_ANY);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "(fe80::0)");
}

Test(rule, of_servers_has_the_bare_canonical_address_and_matches_it_whole)
{
	_arena_ struct arena arena = { 0 };
	struct ip_list servers = SERVERS(&arena, "10.0.0.2", "2001:DB8:0::53");
	struct rule from = RULE_FOR(EACH_SRC_SERVER, servers);
	struct rule to = RULE_FOR(EACH_DST_SERVER, servers);
	struct rule_text text;
	struct rule expanded = at(&from, 0, &text);

	cr_expect_str_eq(expanded.src.text, "10.0.0.2");
	cr_expect_eq(expanded.src.net.len, 32);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "(10.0.0.2)");
	expanded = at(&to, 1, &text);
	cr_expect_str_eq(expanded.dst.text, "2001:db8::53");
	cr_expect_eq(expanded.dst.net.len, 128);
	cr_expect_eq(expanded.dst.op, OP_IS);
}

Test(rule, of_loopback_servers_skips_all_others)
{
	_arena_ struct arena arena = { 0 };
	struct ip_list servers = SERVERS(&arena, "10.0.0.2", "127.0.0.53", "::1", "::2");
	struct rule rule = RULE_FOR(EACH_SRC_LOOPBACK_SERVER, servers);
	struct rule expanded = { 0 };
	struct rule_text text;

	cr_expect_not(rule_at(&rule, 0, &expanded, &text));
	cr_expect_str_eq(at(&rule, 1, &text).src.text, "127.0.0.53");
	cr_expect_str_eq(at(&rule, 2, &text).src.text, "::1");
	cr_expect_not(rule_at(&rule, 3, &expanded, &text));
}

Test(rule, of_uid_exclusions_takes_protocol_ports_and_users_from_each)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	struct rule_text text;
	struct rule expanded;

	exclude_uids(&arena, &plan, IPPROTO_UDP, "1900,1000:2000", "106:108");
	struct rule rule = RULE_FOR(EACH_UID, plan.exclude_uids);
	expanded = at(&rule, 0, &text);
	cr_expect_eq(expanded.proto, IPPROTO_UDP);
	cr_expect_eq(expanded.multiport.n, 2);
	cr_expect_eq(expanded.multiport.ranges[1].hi, 2000);
	cr_expect_str_eq(expanded.multiport.text, "1900,1000:2000");
	cr_expect_eq(expanded.uid.op, OP_IS);
	cr_expect_eq(expanded.uid.lo, 106);
	cr_expect_eq(expanded.uid.hi, 108);
	cr_expect_str_eq(expanded.uid.text, "106:108");
}

Test(rule, of_vnets_matches_the_interface_and_what_is_not_its_network)
{
	_arena_ struct arena arena = { 0 };
	struct vnet_list vnets = VNETS(&arena, "br+", "172.18.0.1/16");
	struct rule all = RULE_FOR(EACH_VNET_IIF, vnets);
	struct rule elsewhere = RULE_FOR(EACH_VNET_IIF_NOT_DST, vnets);
	struct rule_text text;
	struct rule expanded = at(&all, 0, &text);

	cr_expect_str_eq(expanded.iif, "br+");
	cr_expect_eq(expanded.dst.op, OP_ANY);
	elsewhere.comment = "on %s but not to %s, and 100%";
	expanded = at(&elsewhere, 0, &text);
	cr_expect_eq(expanded.dst.op, OP_NOT);
	cr_expect_str_eq(expanded.dst.text, "172.18.0.1/16");
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "on br+ but not to 172.18.0.1/16, and 100%");
}

Test(rule, cuts_a_comment_to_254_bytes_wherever_the_cut_falls)
{
	for (size_t len = 200; len < 700; len++) {
		_free_ char *name = calloc(1, len + 1);
		struct vnet vnet = { .iface = name, .net = net_of("10.0.0.0/8") };
		struct rule rule = { .comment = "ab%s%s",
				     .each = { EACH_VNET_IIF_NOT_DST, { &vnet }, 1 } };
		_free_ char *whole = NULL;
		struct rule_text text;

		cr_assert_not_null(name);
		memset(name, 'x', len);
		(void)at(&rule, 0, &text);
		cr_assert_geq(asprintf(&whole, COMMENT_PREFIX "ab%s10.0.0.0/8", name), 0);
		cr_expect_eq(strlen(text.comment), strlen(whole) < 254 ? strlen(whole) : 254);
		cr_expect_eq(strncmp(text.comment, whole, strlen(text.comment)), 0);
	}
}

Test(rule, does_not_take_a_percent_sign_of_an_element_for_a_mark)
{
	struct vnet vnet = { .iface = "a%sb", .net = net_of("10.0.0.0/8") };
	struct rule rule = { .comment = "%s and %s",
			     .each = { EACH_VNET_IIF_NOT_DST, { &vnet }, 1 } };
	struct rule_text text;

	(void)at(&rule, 0, &text);
	cr_expect_str_eq(text.comment, COMMENT_PREFIX "a%sb and 10.0.0.0/8");
}
