/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The lock, taken on a file of our own through $XTABLES_LOCKFILE. */

#include "daemon/netfilter/xt/lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/os/fd.h"
#include "daemon/netfilter/netfilter.h"

static char path[32];

static void setup(void)
{
	strcpy(path, "/tmp/lock.XXXXXX");
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	(void)close(fd);
	cr_assert_eq(setenv("XTABLES_LOCKFILE", path, 1), 0);
}

static void teardown(void)
{
	(void)unlink(path);
}

TestSuite(xtables_lock, .init = setup, .fini = teardown);

static int take(void)
{
	struct error err = { 0 };
	int fd = -EBADF;

	cr_assert_eq(xtables_lock(&fd, &err), 0, "%s", err.text);
	return fd;
}

Test(xtables_lock, belongs_to_one_until_it_is_closed)
{
	struct error err;
	int first = take(), second = -EBADF;

	cr_expect_eq(xtables_lock(&second, &err), NETFILTER_BUSY);
	cr_expect_eq(second, -EBADF);
	(void)close(first);
	(void)close(take());
}

Test(xtables_lock, is_not_inherited_by_children)
{
	_close_ int fd = take();

	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

Test(xtables_lock, names_a_file_that_cannot_be_opened)
{
	struct error err = { 0 };
	int fd = -EBADF;

	cr_assert_eq(setenv("XTABLES_LOCKFILE", "/nonexistent/lock", 1), 0);
	cr_expect_eq(xtables_lock(&fd, &err), -ENOENT);
	cr_expect_str_eq(err.text, "open /nonexistent/lock: No such file or directory");
}
