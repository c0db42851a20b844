/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/order.h"

#include <criterion/criterion.h>

#include "common/base/cleanup.h"

static const char *sorted(struct diag_list *diags)
{
	static struct layer_file files[] = { { .name = "a.yaml" }, { .name = "b.yaml" } };
	_strbuf_ struct strbuf text = { 0 };

	order_diags(diags, &(struct layer_file_list){ files, ELEMENTS(files) });
	for (size_t i = 0; i < diags->n; i++)
		strbuf_addf(&text, "%s ", diags->items[i].text);
	return arena_strdup(diags->arena, strbuf_text(&text));
}

static void add(struct diag_list *diags, struct origin origin, const char *setting,
		const char *text)
{
	diag_add(diags, SEVERITY_ERROR, &origin, setting, "%s", text);
}

#define IN_FILE(name, ...) ((struct origin){ ORIGIN_FILE, name, __VA_ARGS__ })
#define DEFAULT            ((struct origin){ .kind = ORIGIN_DEFAULT })

Test(order, is_that_of_files_and_lines)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };

	add(&diags, IN_FILE("b.yaml", 1, 1), NULL, "1");
	add(&diags, IN_FILE("a.yaml", 7, 3), NULL, "2");
	add(&diags, IN_FILE("a.yaml", 7, 1), "log.level", "3");
	add(&diags, IN_FILE("a.yaml", 2, 9), "kumaDP.name", "4");
	add(&diags, IN_FILE("missing.yaml", 0, 0), NULL, "5");
	cr_assert_str_eq(sorted(&diags), "5 4 3 2 1 ");
}

Test(order, of_what_has_no_place_is_that_of_the_shipped_file)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };

	add(&diags, (struct origin){ 0 }, NULL, "host");
	add(&diags, DEFAULT, "kumaDP.path", "path");
	add(&diags, (struct origin){ ORIGIN_ENV, "X", 0, 0 }, "kumaDP.tokenFile", "token");
	add(&diags, DEFAULT, "kumaDP.cpAddress", "cp");
	add(&diags, DEFAULT, "kumaDP.cpAddress", "cp again");
	add(&diags, IN_FILE("b.yaml", 9, 1), "log.level", "level");
	cr_assert_str_eq(sorted(&diags), "level cp cp again token path host ");
}

Test(order, has_what_is_said_of_a_file_as_a_whole_behind_its_lines)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };

	diag_add(&diags, SEVERITY_NOTICE, &IN_FILE("a.yaml", 0, 0), NULL, "more");
	add(&diags, IN_FILE("a.yaml", 5, 1), NULL, "5");
	add(&diags, IN_FILE("b.yaml", 1, 1), NULL, "b");
	cr_assert_str_eq(sorted(&diags), "5 more b ");
}
