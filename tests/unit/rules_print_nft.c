/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What of a script is ours; the texts themselves are tests of tests/golden. */

#include "common/rules/print_nft.h"

#include <criterion/criterion.h>

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
