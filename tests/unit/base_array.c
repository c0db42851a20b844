/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdint.h>

#include "common/base/array.h"

struct numbers {
	unsigned *items;
	size_t n;
};

Test(array, keeps_all_elements_in_order_while_it_grows)
{
	struct arena arena = { 0 };
	struct numbers list = { 0 };

	for (unsigned i = 0; i < 1000; i++)
		array_push(&arena, &list, i * 3);
	cr_assert_eq(list.n, 1000);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(list.items[i], i * 3);
	arena_done(&arena);
}

Test(array, gives_zeroed_elements)
{
	struct arena arena = { 0 };
	struct numbers list = { 0 };

	for (unsigned i = 0; i < 5; i++) {
		unsigned *slot = array_grow(&arena, &list.items, &list.n, sizeof(*list.items));

		cr_assert_eq(*slot, 0);
		*slot = 0xffffffff;
	}
	arena_done(&arena);
}

Test(array, is_unchanged_when_the_arena_has_failed)
{
	struct arena arena = { 0 };
	struct numbers list = { 0 };

	array_push(&arena, &list, 1);
	arena.failed = true;
	array_push(&arena, &list, 2);
	cr_assert_eq(list.n, 1);
	cr_assert_eq(list.items[0], 1);
	arena_done(&arena);
}

Test(array, refuses_sizes_that_overflow)
{
	struct arena arena = { 0 };
	size_t n = (size_t)1 << 60;
	void *items = NULL;

	cr_assert_null(array_grow(&arena, &items, &n, 64));
	cr_assert(arena.failed);
	cr_assert_eq(n, (size_t)1 << 60);
	arena_done(&arena);
}
