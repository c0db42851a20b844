/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The text of single rules; whole texts are tests of rules_examples.c and of tests/golden. */

#include "tests/unit/rules_plans.h"

static void expect_text(const struct rule *rule, const char *comment, const char *brief,
			const char *verbose)
{
	struct rule_text text = { 0 };

	(void)snprintf(text.comment, sizeof(text.comment), "%s", comment);
	for (int i = 0; i < 2; i++) {
		_strbuf_ struct strbuf out = { 0 };

		print_rule(&(struct rule_printer){ &out, i, "CHAIN", 3 }, rule, &text);
		cr_expect_str_eq(strbuf_text(&out), i ? verbose : brief);
	}
}

static struct match_net match_of(enum op op, const char *text)
{
	struct net net = net_of(text);

	return (struct match_net){ .op = op, .net = net.prefix, .text = net.text };
}

Test(print_rule, says_nothing_about_what_a_rule_does_not_care_for)
{
	expect_text(&(struct rule){ 0 }, "", "-A CHAIN", "--append CHAIN");
}

Test(print_rule, numbers_inserts_and_not_appends)
{
	expect_text(&(struct rule){ .position = POSITION_INSERT }, "", "-I CHAIN 3",
		    "--insert CHAIN 3");
}

Test(print_rule, knows_every_match_with_and_without_negation)
{
	struct rule rule = {
		.iif = "br+",
		.src = match_of(OP_NOT, "10.0.0.0/8"),
		.dst = match_of(OP_IS, "192.168.0.1"),
		.proto = IPPROTO_UDP,
		.udp_match = true,
		.sport = 53,
		.dport = 54,
		.uid = { OP_NOT, 7, 9, NULL },
		.ctstate_invalid = true,
		.verdict = { .kind = VERDICT_DROP },
	};

	expect_text(&rule, "c",
		    "-A CHAIN -m comment --comment \"c\" ! -s 10.0.0.0/8 -d 192.168.0.1 -i br+ "
		    "-m udp -p udp --sport 53 --dport 54 -m owner ! --uid-owner 7:9 "
		    "-m conntrack --ctstate INVALID -j DROP",
		    "--append CHAIN --match comment --comment \"c\" ! --source 10.0.0.0/8 "
		    "--destination 192.168.0.1 --in-interface br+ --match udp --protocol udp "
		    "--source-port 53 --destination-port 54 --match owner ! --uid-owner 7:9 "
		    "--match conntrack --ctstate INVALID --jump DROP");
}

Test(print_rule, puts_the_destination_behind_an_outgoing_interface)
{
	struct rule rule = {
		.oif = "lo",
		.src = match_of(OP_IS, "::6/128"),
		.dst = match_of(OP_NOT, "::1/128"),
		.proto = IPPROTO_TCP,
		.syn = OP_NOT,
		.uid = { OP_IS, 5678, 5678, NULL },
	};

	expect_text(&rule, "",
		    "-A CHAIN -s ::6/128 -p tcp ! --syn -o lo ! -d ::1/128 -m owner "
		    "--uid-owner 5678",
		    "--append CHAIN --source ::6/128 --protocol tcp ! --syn --out-interface lo "
		    "! --destination ::1/128 --match owner --uid-owner 5678");
}

Test(print_rule, prints_multiport_ahead_of_the_protocol_and_with_the_users_texts)
{
	static const struct port_range ranges[] = { { 53, 53 }, { 3000, 5000 } };
	struct rule rule = {
		.proto = IPPROTO_TCP,
		.multiport = { ranges, 2, "53,3000:5000" },
		.uid = { OP_IS, 106, 108, "0106:108" },
	};

	expect_text(&rule, "",
		    "-A CHAIN -m multiport -p tcp --dport 53,3000:5000 -m owner --uid-owner "
		    "0106:108",
		    "--append CHAIN --match multiport --protocol tcp --destination-port "
		    "53,3000:5000 --match owner --uid-owner 0106:108");
}

Test(print_rule, prints_a_network_without_text_from_its_value)
{
	struct rule rule = { .dst = match_of(OP_IS, "10.1.0.0/16"), .proto = 132 };

	rule.dst.text = NULL;
	expect_text(&rule, "", "-A CHAIN -d 10.1.0.0/16 -p 132",
		    "--append CHAIN --destination 10.1.0.0/16 --protocol 132");
}

Test(print_rule, knows_every_verdict)
{
	static const struct {
		struct verdict verdict;
		const char *text;
	} cases[] = {
		{ { VERDICT_RETURN, NULL, 0 }, "RETURN" },
		{ { VERDICT_DROP, NULL, 0 }, "DROP" },
		{ { VERDICT_JUMP, "OTHER", 0 }, "OTHER" },
		{ { VERDICT_REDIRECT, NULL, 15001 }, "REDIRECT --to-ports 15001" },
		{ { VERDICT_CT_ZONE, NULL, 2 }, "CT --zone 2" },
		{ { VERDICT_LOG, "OUTPUT:", 7 }, "LOG --log-prefix OUTPUT: --log-level 7" },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		struct rule rule = { .verdict = cases[i].verdict };
		char brief[100], verbose[100];

		(void)snprintf(brief, sizeof(brief), "-A CHAIN -j %s", cases[i].text);
		(void)snprintf(verbose, sizeof(verbose), "--append CHAIN --jump %s", cases[i].text);
		expect_text(&rule, "", brief, verbose);
	}
}

Test(print_rule, quotes_comments_as_go_does)
{
	static const struct {
		const char *comment, *quoted;
	} cases[] = {
		{ "it's plain", "it's plain" },
		{ "a \"b\" \\c", "a \\\"b\\\" \\\\c" },
		{ "\a\b\f\n\r\t\v", "\\a\\b\\f\\n\\r\\t\\v" },
		{ "\x01\x1f\x7f", "\\x01\\x1f\\x7f" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xe2\x82\xac \xf0\x9f\x90\xa7", "\xe2\x82\xac \xf0\x9f\x90\xa7" },
		{ "cut \xe2\x82", "cut \\xe2\\x82" },
		{ "\xc0\x80 \xed\xa0\x80 \xff", "\\xc0\\x80 \\xed\\xa0\\x80 \\xff" },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xc2\x85", "\\u0085" },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		char brief[200], verbose[200];

		(void)snprintf(brief, sizeof(brief), "-A CHAIN -m comment --comment \"%s\"",
			       cases[i].quoted);
		(void)snprintf(verbose, sizeof(verbose),
			       "--append CHAIN --match comment --comment \"%s\"", cases[i].quoted);
		expect_text(&(struct rule){ 0 }, cases[i].comment, brief, verbose);
	}
}

Test(print_restore, counts_inserts_per_chain_whatever_is_appended_between_them)
{
	struct rule in[] = {
		{ .position = POSITION_INSERT, .verdict = { VERDICT_JUMP, "A", 0 } },
		{ .verdict = { VERDICT_JUMP, "B", 0 } },
		{ .position = POSITION_INSERT, .verdict = { VERDICT_JUMP, "C", 0 } },
	};
	struct chain chains[] = {
		{ .name = "ONE", .builtin = true, .rules = in, .n = 3 },
		{ .name = "TWO", .builtin = true, .rules = in, .n = 1 },
		{ .name = "THREE" },
	};
	struct ruleset rules = {
		.level = LEVEL_FULL,
		.family[FAMILY_V6] = { .enabled = true, .table[TABLE_MANGLE] = { chains, 3 } },
	};
	_strbuf_ struct strbuf out = { 0 };

	print_restore(&rules, FAMILY_V6, &out);
	cr_expect_str_eq(strbuf_text(&out), "* mangle\n"
					    "-N THREE\n"
					    "-I ONE 1 -j A\n"
					    "-A ONE -j B\n"
					    "-I ONE 2 -j C\n"
					    "-I TWO 1 -j A\n"
					    "COMMIT\n");
}

Test(print_dry_run, leaves_out_a_family_that_is_off)
{
	struct plan plan = plan_default();
	_free_ char *text = NULL;

	plan.family[FAMILY_V4].enabled = false;
	text = dry_run_of(&plan, LEVEL_FULL);
	cr_expect_eq(strncmp(text, "### IPv6 ###\n\n* nat\n", 20), 0);
	cr_expect_null(strstr(text, "IPv4"));
}
