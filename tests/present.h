/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <criterion/criterion.h>
#include <stdlib.h>

/* The pointer, which must not be NULL: else the test ends here. cr_assert_not_null() ends it too,
 * but compilers do not know that, and warn when the pointer is used. */
#define present(pointer)                                \
	({                                              \
		__typeof__(pointer) p_ = (pointer);     \
		cr_assert_not_null(p_, "%s", #pointer); \
		if (!p_)                                \
			abort();                        \
		p_;                                     \
	})
