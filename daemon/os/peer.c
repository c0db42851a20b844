/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/peer.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/attr.h"

#define MOMENT_USEC 10000L

/* What was before. */
struct moment {
	struct sigaction action;
	struct itimerval timer;
};

static void on_alarm(_unused_ int sig)
{
}

/* From now on a wait is interrupted: again and again, since a signal may come right before it. */
static void moment_begin(struct moment *before)
{
	static const struct itimerval timer = { { 0, MOMENT_USEC }, { 0, MOMENT_USEC } };
	const struct sigaction action = { .sa_handler = on_alarm };

	(void)sigaction(SIGALRM, &action, &before->action);
	(void)setitimer(ITIMER_REAL, &timer, &before->timer);
}

static void moment_end(const struct moment *before)
{
	(void)setitimer(ITIMER_REAL, &before->timer, NULL);
	(void)sigaction(SIGALRM, &before->action, NULL);
}

ssize_t peer_recvmsg(int fd, struct msghdr *message, int flags)
{
	struct moment before;
	ssize_t n;
	int saved;

	moment_begin(&before);
	n = recvmsg(fd, message, flags | MSG_DONTWAIT);
	saved = errno;
	moment_end(&before);
	errno = saved;
	return n;
}

ssize_t peer_recv(int fd, void *buf, size_t size)
{
	struct iovec iov = { buf, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	return peer_recvmsg(fd, &message, 0);
}

void peer_close(int fd)
{
	struct moment before;
	int saved = errno;

	moment_begin(&before);
	(void)close(fd);
	moment_end(&before);
	errno = saved;
}
