/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What iptables-nft-save says, and what is to be taken out of it. */

#include "common/rules/leftovers.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/strbuf.h"
#include "common/rules/ruleset.h"
#include "common/rules/shape_parse.h"

#define COMMENT "-m comment --comment \"kuma/mesh/transparent/proxy/x\" "
#define CHAINS                                                                    \
	":PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:KUMA_MESH_IN - [0:0]\n" \
	":KUMA_MESH_OUT - [0:0]\n"
/* Without comments: the user is 5678, the outbound port 15001. */
#define USER                                                     \
	"-A KUMA_MESH_OUT -m owner --uid-owner 5678 -j RETURN\n" \
	"-A KUMA_MESH_OUT -p tcp -j REDIRECT --to-ports 15001\n"
#define DNS_USER "-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
#define DNS_ALL  "-A OUTPUT -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053\n"
#define JUMP     "-A OUTPUT -p tcp -j KUMA_MESH_OUT\n"
#define ZONES                                                                           \
	"-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n" \
	"-A OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"

/* The deletes of base chain rules, by what follows "-D ", or "" for none. */
static char *deletes(const char *save)
{
	struct arena arena = { 0 };
	struct leftovers found;
	struct strbuf out = { 0 };

	leftovers_find(&arena, save, &found);
	cr_assert_not(arena.failed);
	for (const char *at = found.text; at && (at = strstr(at, "-D ")); at++) {
		strbuf_add_len(&out, at + 3, strcspn(at + 3, "\n"));
		strbuf_addc(&out, '\n');
	}
	arena_done(&arena);
	return out.text ? strbuf_take(&out) : strdup("");
}

static void expect(const char *save, const char *expected)
{
	_free_ char *text = deletes(save);

	cr_expect_str_eq(text, expected, "%s\n=>\n%s", save, text);
}

Test(leftovers, the_text_deletes_rules_and_empties_and_deletes_chains)
{
	struct arena arena = { 0 };
	struct leftovers found;

	leftovers_find(
		&arena,
		"# a comment\n*filter\n:INPUT DROP [1:2]\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\n" CHAINS
		"-A OUTPUT -p tcp " COMMENT "-j KUMA_MESH_OUT\n"
		"-A OUTPUT -p tcp -j OTHER\n"
		"-A KUMA_MESH_OUT " COMMENT "-j RETURN\nCOMMIT\n",
		&found);
	cr_assert_str_eq(found.text, "*nat\n"
				     "-D OUTPUT -p tcp " COMMENT "-j KUMA_MESH_OUT\n"
				     "-F KUMA_MESH_IN\n-F KUMA_MESH_OUT\n"
				     "-X KUMA_MESH_IN\n-X KUMA_MESH_OUT\nCOMMIT\n");
	cr_assert_eq(found.removed.n, 3);
	cr_assert_str_eq(found.removed.items[0], "nat: rule 1 of OUTPUT");
	cr_assert_str_eq(found.removed.items[1], "nat: chain KUMA_MESH_IN (0 rules)");
	cr_assert_str_eq(found.removed.items[2], "nat: chain KUMA_MESH_OUT (1 rule)");
	cr_assert_eq(found.left.n, 0);
	arena_done(&arena);
}

Test(leftovers, numbers_of_rules_are_told_in_ranges)
{
	static const struct {
		const char *own, *want;
	} cases[] = {
		{ "", NULL },
		{ "...", NULL },
		{ "x", "rule 1 of C" },
		{ "..x.", "rule 3 of C" },
		{ "xx.x", "rules 1, 2, 4 of C" },
		{ "xxx", "rules 1-3 of C" },
		{ ".xxxx.xx.x", "rules 2-5, 7, 8, 10 of C" },
	};

	for (size_t i = 0; i < ELEMENTS(cases); i++) {
		_cleanup_(arena_done) struct arena arena = { 0 };
		size_t n = strlen(cases[i].own);
		bool own[16] = { 0 };
		const char *text;

		for (size_t k = 0; k < n; k++)
			own[k] = cases[i].own[k] == 'x';
		text = leftovers_rules(&arena, "C", own, n);
		cr_expect(cases[i].want ? text && strcmp(text, cases[i].want) == 0 : !text,
			  "%s: %s", cases[i].own, text);
	}
}

Test(leftovers, nothing_of_ours_is_no_text)
{
	struct arena arena = { 0 };
	struct leftovers found;

	leftovers_find(&arena,
		       "*nat\n:OUTPUT ACCEPT [0:0]\n:X_KUMA_MESH - [0:0]\n" DNS_USER DNS_ALL
		       "-A OUTPUT -p tcp -j X_KUMA_MESH\nCOMMIT\n",
		       &found);
	cr_assert_null(found.text);
	cr_assert_eq(found.removed.n + found.left.n, 0);
	arena_done(&arena);
}

Test(leftovers, a_chain_that_others_jump_to_is_emptied_and_told_of)
{
	struct arena arena = { 0 };
	struct leftovers found;

	leftovers_find(&arena,
		       "*nat\n" CHAINS ":SIDE - [0:0]\n" USER
		       "-A SIDE -p udp -g KUMA_MESH_OUT\nCOMMIT\n",
		       &found);
	cr_assert_str_eq(found.text,
			 "*nat\n-F KUMA_MESH_IN\n-F KUMA_MESH_OUT\n-X KUMA_MESH_IN\nCOMMIT\n");
	cr_assert_eq(found.left.n, 1);
	cr_assert_str_eq(found.left.items[0],
			 "nat: rule 1 of SIDE jumps to KUMA_MESH_OUT, which stays, empty");
	arena_done(&arena);
}

Test(leftovers, an_equal_rule_of_others_in_front_makes_the_number_decide)
{
	expect("*nat\n" CHAINS DNS_ALL DNS_USER DNS_ALL JUMP USER "COMMIT\n",
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
	       "OUTPUT 2\n"
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
}

Test(leftovers, a_redirect_of_dns_is_ours_directly_behind_the_users_rule_only)
{
	expect("*nat\n" CHAINS DNS_ALL JUMP USER "COMMIT\n", "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
	expect("*nat\n" CHAINS DNS_USER "-A OUTPUT -j ACCEPT\n" DNS_ALL JUMP USER "COMMIT\n",
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
	expect("*nat\n" CHAINS
	       "-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 1 -j RETURN\n" DNS_ALL JUMP
		       USER "COMMIT\n",
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
}

Test(leftovers, with_comments_nothing_is_guessed)
{
	expect("*nat\n" CHAINS DNS_USER DNS_ALL "-A KUMA_MESH_OUT " COMMENT
	       "-m owner --uid-owner 5678 -j RETURN\nCOMMIT\n",
	       "");
}

Test(leftovers, exclusions_are_uids_then_addresses_in_front_of_the_dns_rules)
{
#define UIDS "-A OUTPUT -p tcp -m multiport --dports 22 -m owner --uid-owner 106-108 -j RETURN\n"
#define NET  "-A OUTPUT -d 10.0.0.0/8 -j RETURN\n"
	expect("*nat\n" CHAINS "-A OUTPUT -j ACCEPT\n" UIDS NET DNS_USER JUMP USER "COMMIT\n",
	       "OUTPUT -p tcp -m multiport --dports 22 -m owner --uid-owner 106-108 -j RETURN\n"
	       "OUTPUT -d 10.0.0.0/8 -j RETURN\n"
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
	/* kumactl inserts no address in front of a UID. */
	expect("*nat\n" CHAINS NET UIDS DNS_USER JUMP USER "COMMIT\n",
	       "OUTPUT -p tcp -m multiport --dports 22 -m owner --uid-owner 106-108 -j RETURN\n"
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
}

Test(leftovers, exclusions_without_dns_rules_begin_the_chain_and_end_at_the_jump)
{
	expect("*nat\n" CHAINS NET JUMP USER "COMMIT\n",
	       "OUTPUT -d 10.0.0.0/8 -j RETURN\nOUTPUT -p tcp -j KUMA_MESH_OUT\n");
	expect("*nat\n" CHAINS NET "-A OUTPUT -j ACCEPT\n" JUMP USER "COMMIT\n",
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
	expect("*nat\n" CHAINS "-A OUTPUT -j ACCEPT\n" NET JUMP USER "COMMIT\n",
	       "OUTPUT -p tcp -j KUMA_MESH_OUT\n");
}

Test(leftovers, virtual_networks_stand_in_front_of_the_jump_and_lead_to_our_port)
{
#define VNET_DNS "-i br0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 15053\n"
#define VNET_TCP "! -d 172.17.0.0/16 -i br0 -p tcp -j REDIRECT --to-ports "
#define IN       "-A PREROUTING -p tcp -j KUMA_MESH_IN\n"
	expect("*nat\n" CHAINS "-A PREROUTING " VNET_DNS "-A PREROUTING " VNET_TCP "15001\n" IN USER
	       "COMMIT\n",
	       "PREROUTING " VNET_DNS "PREROUTING " VNET_TCP
	       "15001\nPREROUTING -p tcp -j KUMA_MESH_IN\n");
	expect("*nat\n" CHAINS "-A PREROUTING " VNET_DNS "-A PREROUTING " VNET_TCP "15002\n" IN USER
	       "COMMIT\n",
	       "PREROUTING -p tcp -j KUMA_MESH_IN\n");
	expect("*nat\n" CHAINS "-A PREROUTING " VNET_DNS "-A PREROUTING " VNET_TCP
	       "15001\n-A PREROUTING -j ACCEPT\n" IN USER "COMMIT\n",
	       "PREROUTING -p tcp -j KUMA_MESH_IN\n");
}

Test(leftovers, logs_are_ours_in_pairs_of_one_level)
{
#define LOG(chain, level) "-A " chain " -j LOG --log-prefix \"" chain ":\" --log-level " level "\n"
	expect("*nat\n" CHAINS LOG("PREROUTING", "7") LOG("OUTPUT", "7") USER "COMMIT\n",
	       "PREROUTING -j LOG --log-prefix \"PREROUTING:\" --log-level 7\n"
	       "OUTPUT -j LOG --log-prefix \"OUTPUT:\" --log-level 7\n");
	expect("*nat\n" CHAINS LOG("PREROUTING", "7") LOG("OUTPUT", "6") USER "COMMIT\n", "");
	expect("*nat\n" CHAINS LOG("OUTPUT", "7") USER "COMMIT\n", "");
}

Test(leftovers, zones_prove_themselves_as_a_pair_of_one_user)
{
#define ZONE_ALL   "-A OUTPUT -p udp -m udp --dport 53 -j CT --zone 2\n"
#define RAW(rules) "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" rules "COMMIT\n"
	_free_ char *all = NULL;

	expect(RAW(ZONE_ALL), "");
	expect(RAW("-A OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 1 -j CT --zone 1\n"
		   "-A OUTPUT -p udp -m udp --sport 53 -m owner --uid-owner 2 -j CT --zone 2\n" ZONE_ALL),
	       "");
	all = deletes(RAW(
		"-A PREROUTING -p udp -m udp --sport 53 -j CT --zone 1\n" ZONE_ALL ZONES ZONE_ALL));
	cr_expect_str_eq(
		all, "PREROUTING -p udp -m udp --sport 53 -j CT --zone 1\n"
		     "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n"
		     "OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"
		     "OUTPUT 2\n");
}

Test(leftovers, the_zone_of_those_who_are_exempt_is_ours_directly_in_front_of_the_users)
{
#define DIRECT(uid) \
	"-A OUTPUT -p udp -m multiport --dports 53 -m owner --uid-owner " uid " -j CT --zone 1\n"
	expect(RAW(DIRECT("1") ZONE_ALL DIRECT("2") DIRECT("3-4") ZONES ZONE_ALL),
	       "OUTPUT -p udp -m multiport --dports 53 -m owner --uid-owner 2 -j CT --zone 1\n"
	       "OUTPUT -p udp -m multiport --dports 53 -m owner --uid-owner 3-4 -j CT --zone 1\n"
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n"
	       "OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"
	       "OUTPUT 3\n");
}

Test(leftovers, zones_of_answers_are_ours_for_servers_whose_requests_have_one)
{
	expect(RAW("-A PREROUTING -s 9.9.9.9/32 -p udp -m udp --sport 53 -j CT --zone 1\n"
		   "-A PREROUTING -s 127.0.0.53/32 -p udp -m udp --sport 53 -j CT --zone 1\n" ZONES
		   "-A OUTPUT -d 127.0.0.53/32 -p udp -m udp --dport 53 -j CT --zone 2\n"
		   "-A OUTPUT -s 127.0.0.53/32 -d 127.0.0.1/32 -p udp -j CT --zone 1\n"
		   "-A OUTPUT -s 127.0.0.54/32 -d 127.0.0.1/32 -p udp -j CT --zone 1\n"),
	       "PREROUTING -s 127.0.0.53/32 -p udp -m udp --sport 53 -j CT --zone 1\n"
	       "OUTPUT -p udp -m udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n"
	       "OUTPUT -p udp -m udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"
	       "OUTPUT -d 127.0.0.53/32 -p udp -m udp --dport 53 -j CT --zone 2\n"
	       "OUTPUT -s 127.0.0.53/32 -d 127.0.0.1/32 -p udp -j CT --zone 1\n");
}

Test(leftovers, invalid_packets_are_never_guessed_but_told_of)
{
	struct arena arena = { 0 };
	struct leftovers found;

	leftovers_find(&arena,
		       "*mangle\n:PREROUTING ACCEPT [0:0]\n"
		       "-A PREROUTING -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n"
		       "*nat\n" CHAINS USER "COMMIT\n",
		       &found);
	cr_assert_null(strstr(found.text, "mangle"));
	cr_assert_eq(found.left.n, 1);
	cr_assert_str_eq(found.left.items[0],
			 "mangle: rule 1 of PREROUTING may be kumactl's, but without a comment "
			 "nothing proves it");
	arena_done(&arena);
}

Test(shape_parse, words_are_cut_at_blanks_and_quotes_keep_them)
{
	char line[] = "-m comment  --comment \"a \\\"b\\\\ c\" -j X";
	const char *words[8];

	cr_assert_eq(words_split(line, words, 8), 6);
	cr_assert_str_eq(words[3], "a \"b\\ c");
	cr_assert_str_eq(words[5], "X");
	cr_assert_eq(words_split((char[]){ "a b c" }, words, 2), 3);
	cr_assert_eq(words_split((char[]){ "" }, words, 2), 0);
}

Test(shape_parse, what_is_not_known_makes_a_rule_anothers)
{
	static const char *const others[] = {
		"-m addrtype --dst-type LOCAL",
		"! -p tcp",
		"-p icmp",
		"--dport 53:54",
		"! --dport 53",
		"-o lo",
		"-m comment --comment hello",
		"-s 1.2.3.4/255.0.255.0",
		"-p",
	};

	for (size_t i = 0; i < ELEMENTS(others); i++) {
		_free_ char *line = strdup(others[i]);
		const char *words[8];
		size_t n = words_split(line, words, 8);
		struct shape shape;

		shape_parse(words, n, &shape);
		cr_expect(shape.other, "%s", others[i]);
	}
}
