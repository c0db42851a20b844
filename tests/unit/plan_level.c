/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>

#include "common/plan/level.h"

Test(level, has_a_name_of_its_own_for_every_value)
{
	cr_expect_str_eq(level_name(LEVEL_NONE), "none");
	cr_expect_str_eq(level_name(LEVEL_DRAIN), "drain");
	cr_expect_str_eq(level_name(LEVEL_NO_DNS), "no-dns");
	cr_expect_str_eq(level_name(LEVEL_FULL), "full");
	cr_expect_str_eq(level_name(LEVEL_UNKNOWN), "unknown");
}

Test(level, rises_with_how_much_of_the_redirect_is_in)
{
	cr_expect_lt(LEVEL_NONE, LEVEL_DRAIN);
	cr_expect_lt(LEVEL_DRAIN, LEVEL_NO_DNS);
	cr_expect_lt(LEVEL_NO_DNS, LEVEL_FULL);
}
