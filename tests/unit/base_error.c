/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "common/base/error.h"

Test(error, composes_from_right_to_left)
{
	struct error err = { 0 };

	cr_assert_eq(error_sys(&err, -EAGAIN, "commit"), -EAGAIN);
	cr_assert_eq(error_wrap(&err, -EAGAIN, "table %s", "nat"), -EAGAIN);
	cr_assert_eq(error_wrap(&err, -EAGAIN, "apply rules"), -EAGAIN);
	cr_assert_str_eq(err.text,
			 "apply rules: table nat: commit: Resource temporarily unavailable");
	cr_assert_eq(err.code, -EAGAIN);
}

Test(error, replaces_what_was_there)
{
	struct error err = { 0 };

	cr_assert_eq(error_set(&err, -EIO, "first"), -EIO);
	cr_assert_eq(error_set(&err, -EINVAL, "second %d", 2), -EINVAL);
	cr_assert_str_eq(err.text, "second 2");
	cr_assert_eq(err.code, -EINVAL);
}

Test(error, needs_no_object)
{
	cr_assert_eq(error_set(NULL, -EIO, "x"), -EIO);
	cr_assert_eq(error_sys(NULL, -EIO, "x"), -EIO);
	cr_assert_eq(error_wrap(NULL, -EIO, "x"), -EIO);
}

Test(error, cuts_what_is_too_long_and_stays_text)
{
	struct error err = { 0 };
	char word[400];

	memset(word, 'a', sizeof(word));
	word[sizeof(word) - 1] = 0;
	cr_assert_eq(error_set(&err, -EIO, "%s", word), -EIO);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(error_wrap(&err, -EIO, "%s", word), -EIO);
	cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
	cr_assert_eq(error_sys(&err, -EIO, "%s%s", word, word), -EIO);
	cr_assert_eq(strlen(err.text), sizeof(err.text) - 1);
}
