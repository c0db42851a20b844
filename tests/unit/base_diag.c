/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/diag.h"

static void expect(const struct diag *diag, const char *text)
{
	_strbuf_ struct strbuf buf = { 0 };

	diag_print(diag, &buf);
	cr_assert_str_eq(strbuf_text(&buf), text);
}

Test(diag, prints_as_compilers_do)
{
	struct arena arena = { 0 };
	struct diag_list list = { .arena = &arena };
	struct origin file = {
		.kind = ORIGIN_FILE, .name = "/etc/x.yaml", .line = 12, .column = 9
	};
	struct origin whole = { .kind = ORIGIN_FILE, .name = "/etc/x.yaml" };
	struct origin env = { .kind = ORIGIN_ENV, .name = "A_B" };
	struct origin flag = { .kind = ORIGIN_FLAG, .name = "a-b" };
	struct origin dflt = { .kind = ORIGIN_DEFAULT };

	diag_add(&list, SEVERITY_ERROR, &file, "a.b", "%d is wrong", 7);
	diag_add(&list, SEVERITY_WARNING, &whole, NULL, "text");
	diag_add(&list, SEVERITY_NOTICE, &env, "a", "text");
	diag_add(&list, SEVERITY_ERROR, &flag, "a", "text");
	diag_add(&list, SEVERITY_ERROR, &dflt, "a", "text");
	diag_add(&list, SEVERITY_ERROR, NULL, NULL, "text");
	expect(&list.items[0], "/etc/x.yaml:12:9: error: a.b: 7 is wrong");
	expect(&list.items[1], "/etc/x.yaml: warning: text");
	expect(&list.items[2], "$A_B: notice: a: text");
	expect(&list.items[3], "--a-b: error: a: text");
	expect(&list.items[4], "error: a: text");
	expect(&list.items[5], "error: text");
	cr_assert_eq(list.n, 6);
	cr_assert_eq(list.n_errors, 4);
	arena_done(&arena);
}

Test(diag, keeps_copies_of_names)
{
	struct arena arena = { 0 };
	struct diag_list list = { .arena = &arena };
	char name[] = "file", setting[] = "a.b";
	struct origin origin = { .kind = ORIGIN_FILE, .name = name };

	diag_add(&list, SEVERITY_ERROR, &origin, setting, "x");
	memset(name, '?', 4);
	memset(setting, '?', 3);
	expect(&list.items[0], "file: error: a.b: x");
	arena_done(&arena);
}

Test(diag, tells_the_host_from_the_configuration)
{
	struct arena arena = { 0 };
	struct diag_list list = { .arena = &arena };

	diag_add(&list, SEVERITY_WARNING, NULL, NULL, "x");
	cr_assert_not(diag_has_error(&list, false));
	diag_add_host(&list, SEVERITY_ERROR, NULL, NULL, "x");
	cr_assert_not(diag_has_error(&list, false));
	cr_assert(diag_has_error(&list, true));
	diag_add(&list, SEVERITY_ERROR, NULL, NULL, "x");
	cr_assert(diag_has_error(&list, false));
	cr_assert_eq(list.n_errors, 2);
	arena_done(&arena);
}

Test(diag, names_the_default_as_an_origin)
{
	_strbuf_ struct strbuf buf = { 0 };

	origin_print(&(struct origin){ .kind = ORIGIN_DEFAULT }, &buf);
	cr_assert_str_eq(strbuf_text(&buf), "default");
}
