/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/resolv.h"

#include <string.h>

#include <criterion/criterion.h>

struct read {
	struct arena arena;
	struct diag_list diags;
	struct ip_list servers[FAMILY_COUNT];
};

static struct read *read_text(const char *text)
{
	static struct read r;

	r = (struct read){ .diags.arena = &r.arena };
	resolv_parse("/etc/resolv.conf", text, strlen(text), r.servers, &r.diags);
	return &r;
}

static void expect_server(const struct read *r, enum family family, size_t n, const char *want)
{
	char text[IP_TEXT_MAX];

	cr_assert_gt(r->servers[family].n, n);
	ip_print(&r->servers[family].items[n], text);
	cr_expect_str_eq(text, want);
}

Test(resolv, splits_the_servers_by_family_in_order)
{
	struct read *r = read_text("nameserver 10.0.0.2\nnameserver 2001:DB8::53\n"
				   "nameserver 10.0.0.1\n");

	cr_assert_eq(r->servers[FAMILY_V4].n, 2);
	cr_assert_eq(r->servers[FAMILY_V6].n, 1);
	expect_server(r, FAMILY_V4, 0, "10.0.0.2");
	expect_server(r, FAMILY_V4, 1, "10.0.0.1");
	expect_server(r, FAMILY_V6, 0, "2001:db8::53");
	cr_expect_eq(r->diags.n, 0);
	arena_done(&r->arena);
}

Test(resolv, keeps_duplicates_and_has_no_limit)
{
	struct read *r = read_text("nameserver 10.0.0.1\nnameserver 10.0.0.1\nnameserver 10.0.0.1\n"
				   "nameserver 10.0.0.4\n");

	cr_assert_eq(r->servers[FAMILY_V4].n, 4);
	expect_server(r, FAMILY_V4, 2, "10.0.0.1");
	arena_done(&r->arena);
}

Test(resolv, takes_the_second_word_whatever_the_blanks)
{
	struct read *r = read_text("  nameserver\t10.0.0.1 # ours\r\n\nnameserver  ::1");

	cr_assert_eq(r->servers[FAMILY_V4].n, 1);
	cr_assert_eq(r->servers[FAMILY_V6].n, 1);
	expect_server(r, FAMILY_V6, 0, "::1");
	arena_done(&r->arena);
}

Test(resolv, ignores_comments_other_words_and_a_nameserver_without_address)
{
	struct read *r =
		read_text("#nameserver 10.0.0.1\n; nameserver 10.0.0.2\nnameservers 10.0.0.3\n"
			  "Nameserver 10.0.0.4\nsearch nameserver 10.0.0.5\nnameserver\n");

	cr_expect_eq(r->servers[FAMILY_V4].n, 0);
	cr_expect_eq(r->diags.n, 0);
	arena_done(&r->arena);
}

Test(resolv, counts_a_mapped_address_as_ipv4)
{
	struct read *r = read_text("nameserver ::ffff:10.0.0.1\n");

	cr_assert_eq(r->servers[FAMILY_V4].n, 1);
	expect_server(r, FAMILY_V4, 0, "10.0.0.1");
	arena_done(&r->arena);
}

Test(resolv, skips_an_address_with_a_zone_and_says_where)
{
	struct read *r = read_text("# none\nnameserver fe80::1%eth0\nnameserver 10.0.0.1\n");

	cr_expect_eq(r->servers[FAMILY_V6].n, 0);
	cr_expect_eq(r->servers[FAMILY_V4].n, 1);
	cr_assert_eq(r->diags.n, 1);
	cr_expect_eq(r->diags.items[0].severity, SEVERITY_NOTICE);
	cr_expect(strstr(r->diags.items[0].text, "'fe80::1%eth0'"));
	cr_expect(strstr(r->diags.items[0].text, "zone"));
	cr_expect_str_eq(r->diags.items[0].origin.name, "/etc/resolv.conf");
	cr_expect_eq(r->diags.items[0].origin.line, 2);
	cr_expect_eq(r->diags.items[0].origin.column, 12);
	arena_done(&r->arena);
}

Test(resolv, skips_what_is_no_address)
{
	struct read *r = read_text("nameserver dns.example\nnameserver 10.0.0.1/8\n"
				   "nameserver 010.0.0.1\n");

	cr_expect_eq(r->servers[FAMILY_V4].n, 0);
	cr_expect_eq(r->diags.n, 3);
	cr_expect(strstr(r->diags.items[0].text, "'dns.example'"));
	arena_done(&r->arena);
}

Test(resolv, takes_no_address_from_in_front_of_a_nul)
{
	static const char text[] = "nameserver 10.0.0.1\0.2\n";
	struct read *r = read_text("");

	resolv_parse("f", text, sizeof(text) - 1, r->servers, &r->diags);
	cr_expect_eq(r->servers[FAMILY_V4].n, 0);
	cr_expect_eq(r->diags.n, 1);
	arena_done(&r->arena);
}

static bool has_use_vc(const char *text)
{
	struct origin origin = { 0 };

	return resolv_find_option(text, strlen(text), "use-vc", &origin);
}

Test(resolv, finds_an_option_in_any_of_the_lines_that_name_some)
{
	cr_expect(has_use_vc("options use-vc"));
	cr_expect(has_use_vc(
		"nameserver 10.0.0.1\noptions\tedns0 timeout:1\noptions ndots:2 use-vc\n"));
	cr_expect_not(has_use_vc(""));
	cr_expect_not(has_use_vc("options edns0\nuse-vc\n"));
	cr_expect_not(has_use_vc("#options use-vc\n options use-vc\n; options use-vc\n"));
	cr_expect_not(has_use_vc("options use-vcs use-v\nsearch use-vc\n"));
}
