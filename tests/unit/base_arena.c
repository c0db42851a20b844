/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"

Test(arena, gives_zeroed_and_aligned_memory)
{
	struct arena arena = { 0 };

	for (size_t size = 1; size < 200; size += 7) {
		unsigned char *p = arena_alloc(&arena, size);

		cr_assert_not_null(p);
		cr_assert_eq((uintptr_t)p % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			cr_assert_eq(p[i], 0);
		memset(p, 0xff, size);
	}
	arena_done(&arena);
}

Test(arena, takes_what_is_larger_than_a_block)
{
	struct arena arena = { 0 };
	char *small = arena_strdup(&arena, "small");
	char *large = arena_alloc(&arena, 1000000);
	char *after = arena_strdup(&arena, "after");

	memset(large, 'x', 1000000);
	cr_assert_str_eq(small, "small");
	cr_assert_str_eq(after, "after");
	arena_done(&arena);
}

Test(arena, stays_failed_after_the_first_failure)
{
	struct arena arena = { 0 };

	cr_assert_null(arena_alloc(&arena, SIZE_MAX));
	cr_assert(arena.failed);
	cr_assert_null(arena_alloc(&arena, 1));
	cr_assert_null(arena_strdup(&arena, "x"));
	cr_assert_null(arena_printf(&arena, "%d", 1));
	arena_done(&arena);
	cr_assert_not(arena.failed);
	cr_assert_not_null(arena_alloc(&arena, 1));
	arena_done(&arena);
}

Test(arena, copies_and_formats_text)
{
	struct arena arena = { 0 };

	cr_assert_str_eq(arena_strndup(&arena, "abcdef", 3), "abc");
	cr_assert_str_eq(arena_strndup(&arena, "", 0), "");
	cr_assert_str_eq(arena_printf(&arena, "%s-%u", "a", 7U), "a-7");
	arena_done(&arena);
}
