/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUCH 300000 /* more than a pipe holds */

Test(io, writes_and_reads_all_of_it)
{
	int fd = memfd_create("io", MFD_CLOEXEC);
	struct strbuf text = { 0 };

	cr_assert_eq(io_write_all(fd, "some text", 9), 0);
	cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	cr_assert_eq(io_read_all(fd, 100, &text), 0);
	cr_expect_str_eq(strbuf_text(&text), "some text");
	strbuf_done(&text);
	(void)close(fd);
}

Test(io, reads_no_further_than_it_is_told_by_much)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct strbuf text = { 0 };

	cr_assert_eq(io_read_all(fd, 1000, &text), 0);
	cr_expect_gt(text.len, 1000);
	cr_expect_leq(text.len, 1000 + 16384);
	strbuf_done(&text);
	(void)close(fd);
}

static void *write_much(void *fd)
{
	static const char much[MUCH];
	int r = io_write_all(*(int *)fd, much, sizeof(much));

	(void)close(*(int *)fd);
	return r == 0 ? fd : NULL;
}

Test(io, goes_on_where_a_pipe_takes_a_part)
{
	struct strbuf text = { 0 };
	pthread_t writer;
	void *done;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(pthread_create(&writer, NULL, write_much, &fds[1]), 0);
	cr_assert_eq(io_read_all(fds[0], MUCH * 2, &text), 0);
	cr_assert_eq(pthread_join(writer, &done), 0);
	cr_expect_not_null(done);
	cr_expect_eq(text.len, MUCH);
	strbuf_done(&text);
	(void)close(fds[0]);
}

Test(io, tells_what_failed)
{
	struct strbuf text = { 0 };
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)close(fds[0]);
	cr_expect_eq(io_write_all(fds[1], "x", 1), -EPIPE);
	cr_expect_eq(io_read_all(fds[1], 10, &text), -EBADF);
	(void)close(fds[1]);
}

Test(io, makes_no_address_of_a_path_that_is_too_long)
{
	struct sockaddr_un addr;
	char path[sizeof(addr.sun_path) + 1];

	memset(path, 'x', sizeof(path));
	path[sizeof(addr.sun_path)] = '\0';
	cr_expect_not(io_unix_address(path, &addr));
	path[sizeof(addr.sun_path) - 1] = '\0';
	cr_assert(io_unix_address(path, &addr));
	cr_expect_eq(addr.sun_family, AF_UNIX);
	cr_expect_str_eq(addr.sun_path, path);
}
