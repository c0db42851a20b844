/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/as_user.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/fsuid.h>
#include <unistd.h>

#define SOMEBODY 54377

static uid_t fsuid(void)
{
	return (uid_t)setfsuid((uid_t)-1);
}

Test(as_user, is_that_user_for_files_and_then_no_more)
{
	struct error err = { 0 };

	if (geteuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(as_user(SOMEBODY, SOMEBODY, &err), 0, "%s", err.text);
	cr_expect_eq(fsuid(), SOMEBODY);
	cr_expect_eq(geteuid(), 0);
	as_ourselves();
	cr_expect_eq(fsuid(), 0);
}

/* setfsuid(2) itself would not say so. */
Test(as_user, tells_where_it_may_not)
{
	struct error err = { 0 };

	if (geteuid() == 0)
		cr_assert_eq(seteuid(SOMEBODY), 0);
	cr_expect_eq(as_user(SOMEBODY + 1, SOMEBODY + 1, &err), -EPERM);
	cr_expect_str_eq(err.text, "act as user 54378");
	as_ourselves();
	cr_expect_eq(fsuid(), geteuid());
	/* The sanitizer looks at its own process in the end. */
	if (getuid() == 0)
		cr_assert_eq(seteuid(0), 0);
}
