/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A descriptor whose last close takes as long as its owner likes, sent along with some text. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_SEC 20

/* Both ends of a TCP connection on the loopback: much is to be read from the one, which nobody does, and
 * the other lingers. */
static inline void lingering_pair(int ret[static 2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger linger = { 1, LINGER_SEC };
	socklen_t len = sizeof(addr);
	static const char much[65536];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(connect(ret[0], (const struct sockaddr *)&addr, sizeof(addr)), 0);
	ret[1] = accept(listener, NULL, NULL);
	(void)close(listener);
	while (send(ret[0], much, sizeof(much), MSG_DONTWAIT) > 0)
		continue;
	cr_assert_eq(setsockopt(ret[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

/* Whoever reads this, or closes the socket, is to close the descriptor: it is ours no longer. Returns
 * the other end of it. */
static inline int lingering_send(int fd, const char *text)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int pair[2];

	lingering_pair(pair);
	memcpy(CMSG_DATA(&control.header), &pair[0], sizeof(pair[0]));
	cr_assert_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)strlen(text));
	(void)close(pair[0]);
	return pair[1];
}
