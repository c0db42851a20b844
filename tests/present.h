/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <criterion/criterion.h>
#include <stdlib.h>

static inline void *present_or_abort(const void *pointer, const char *what)
{
	cr_assert_not_null(pointer, "%s", what);
	if (!pointer)
		abort();
	return (void *)pointer;
}

/* The pointer, which must not be NULL: else the test ends here. cr_assert_not_null() ends it too,
 * but compilers do not know that, and warn when the pointer is used. */
#define present(pointer) ((__typeof__(pointer))present_or_abort((pointer), #pointer))
