/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What of a script is ours, and what it includes. */

#include "common/rules/nft_script.h"

#include <criterion/criterion.h>
#include <string.h>

Test(nft_script, names_ours)
{
	cr_expect(nft_script_names_ours(
		"#!/usr/sbin/nft -f\nflush ruleset\n\ntable ip tproxyd {\n}\n"));
	cr_expect(nft_script_names_ours(
		"table ip6 tproxyd { # progname tproxyd\n\tflags owner\n}\n"));
	cr_expect(nft_script_names_ours(" add  table\tip tproxyd\ndelete table ip tproxyd\n"));
	cr_expect(nft_script_names_ours("create table ip tproxyd;"));
	cr_expect(nft_script_names_ours("x\ntable ip tproxyd"));
}

Test(nft_script, names_others)
{
	cr_expect_not(nft_script_names_ours(""));
	cr_expect_not(nft_script_names_ours("table"));
	cr_expect_not(nft_script_names_ours("table inet filter {\n}\n"));
	cr_expect_not(
		nft_script_names_ours("table ip tproxyd-probe {\n}\ntable ip mytproxyd {\n}\n"));
	cr_expect_not(nft_script_names_ours("table inet tproxyd {\n}\n"));
	cr_expect_not(nft_script_names_ours("# table ip tproxyd was here\n"));
	cr_expect_not(nft_script_names_ours("delete table ip tproxyd\nflush table ip6 tproxyd\n"));
}

Test(nft_script, includes)
{
	static const char *const expected[] = { "/etc/nft.d/*.nft", "./beside", "" };
	const char *at =
		"flush ruleset\ninclude \"/etc/nft.d/*.nft\"\n  include\t\"./beside\" # x\n"
		"# include \"/no\"\ninclude /no\nincluded \"/no\"\ninclude \"/no\n"
		"include\ninclude \"\"\ninclude \"/no";
	const char *name;
	size_t n = 0, len;

	for (; nft_script_include(&at, &name, &len); n++) {
		cr_assert_lt(n, sizeof(expected) / sizeof(expected[0]));
		cr_expect_eq(len, strlen(expected[n]));
		cr_expect_eq(strncmp(name, expected[n], len), 0);
	}
	cr_expect_eq(n, sizeof(expected) / sizeof(expected[0]));
	cr_expect_eq(*at, '\0');
}
