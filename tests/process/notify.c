/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/operator/notify.h"
#include "tests/process/manager.h"

static void expect(int fd, const char *text)
{
	char buf[2048];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);

	buf[n < 0 ? 0 : n] = 0;
	cr_expect_str_eq(buf, text);
}

Test(notify, says_a_status_once)
{
	char last[256] = "";
	int fd = manager_new();

	notify_status(last, "Waiting for %s", "Envoy");
	notify_status(last, "Waiting for %s", "Envoy");
	notify_status(last, "Redirecting");
	expect(fd, "STATUS=Waiting for Envoy");
	expect(fd, "STATUS=Redirecting");
	expect(fd, "");
	(void)close(fd);
}

Test(notify, lets_no_text_begin_a_variable_of_its_own)
{
	char last[256] = "";
	int fd = manager_new();

	notify_status(last, "Holding: %s", "x\nMAINPID=1");
	notify_failed(-5, "kuma-dp said: x\nREADY=1\r");
	expect(fd, "STATUS=Holding: x MAINPID=1");
	expect(fd, "ERRNO=5\nSTATUS=kuma-dp said: x READY=1\xef\xbf\xbd");
	(void)close(fd);
}

Test(notify, says_what_is_not_utf_8)
{
	char last[256] = "", text[300], *wide = text;
	int fd = manager_new();

	notify_status(last, "Waiting for caf\xe9");
	expect(fd, "STATUS=Waiting for caf\xef\xbf\xbd");
	/* 255 bytes are room for 127 of them. */
	for (size_t i = 0; i < 149; i++)
		wide = stpcpy(wide, "\xc3\xbc");
	notify_status(last, "%s", text);
	cr_expect_eq(strlen(last), 254);
	text[254] = 0;
	cr_expect_str_eq(last, text);
	(void)close(fd);
}

/* The descriptor comes along, and systemd is told to keep it whatever poll(2) says of it. */
Test(notify, puts_a_descriptor_into_the_store_and_takes_it_out)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char text[256] = "";
	struct iovec iov = { text, sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd = manager_new(), given;

	notify_store("ports", STDIN_FILENO);
	cr_assert_gt(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC), 0);
	cr_expect_str_eq(text, "FDSTORE=1\nFDNAME=ports\nFDPOLL=0");
	cr_assert_eq(control.header.cmsg_type, SCM_RIGHTS);
	memcpy(&given, CMSG_DATA(&control.header), sizeof(given));
	cr_expect_eq(close(given), 0);
	notify_unstore("ports");
	expect(fd, "FDSTOREREMOVE=1\nFDNAME=ports");
	(void)close(fd);
}

/* In a process of its own: these descriptors are the test's too. */
static int finds_stored(void)
{
	int fds[2] = { -1, -1 }, one[1] = { -1 };
	struct notify_stored stored[] = { { "ports", fds, 2, 0 }, { "nftables", one, 1, 0 } };
	char pid[16];

	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	notify_stored(stored, 2);
	if (stored[0].n || stored[1].n || setenv("LISTEN_PID", pid, 1) < 0 ||
	    setenv("LISTEN_FDS", "5", 1) < 0 ||
	    setenv("LISTEN_FDNAMES", "ports:other:ports:ports:nftables", 1) < 0)
		return 1;
	for (int fd = 3; fd < 8; fd++)
		if (dup2(STDERR_FILENO, fd) < 0)
			return 2;
	notify_stored(stored, 2);
	if (stored[0].n != 2 || fds[0] != 3 || fds[1] != 5 || stored[1].n != 1 || one[0] != 7)
		return 3;
	if (fcntl(3, F_GETFD) != FD_CLOEXEC || fcntl(4, F_GETFD) >= 0 || fcntl(6, F_GETFD) >= 0)
		return 4;
	return getenv("LISTEN_FDS") ? 5 : 0;
}

/* What is not asked for is closed, and no child hears of any of it. */
Test(notify, finds_what_was_stored_under_a_name)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(finds_stored());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "status %x", (unsigned)status);
}
