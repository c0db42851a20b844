/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The lock, taken on a file of our own through $XTABLES_LOCKFILE. */

#include "daemon/xtables_lock.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/fd.h"
#include "daemon/netfilter.h"

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

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
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

Test(xtables_lock, waits_no_longer_than_asked)
{
	struct error err;
	_close_ int first = take();
	int second = -EBADF;
	double begin = seconds();

	cr_expect_eq(xtables_lock_wait(50000, &second, &err), NETFILTER_BUSY);
	cr_expect_geq(seconds() - begin, 0.05);
}

Test(xtables_lock, is_got_by_who_waits_when_it_is_free)
{
	struct error err = { 0 };
	int fd = -EBADF;

	cr_assert_eq(xtables_lock_wait(0, &fd, &err), 0, "%s", err.text);
	cr_expect_geq(fd, 0);
	(void)close(fd);
}

Test(xtables_lock, names_a_file_that_cannot_be_opened)
{
	struct error err = { 0 };
	int fd = -EBADF;

	cr_assert_eq(setenv("XTABLES_LOCKFILE", "/nonexistent/lock", 1), 0);
	cr_expect_eq(xtables_lock(&fd, &err), -ENOENT);
	cr_expect_str_eq(err.text, "open /nonexistent/lock: No such file or directory");
}
