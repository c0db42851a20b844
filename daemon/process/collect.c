/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/os/clock.h"
#include "daemon/os/fd.h"
#include "daemon/process/sweep.h"

struct output {
	char *buf;
	size_t size, len;
};

/* Takes what is there. Returns false at the end of the stream. */
static bool read_output(int fd, struct output *output)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		size_t room = output->size - 1 - output->len;
		size_t take = (size_t)n < room ? (size_t)n : room;

		memcpy(output->buf + output->len, chunk, take);
		output->len += take;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Waits for the end of the process, which may come before the end of its output: a grandchild can
 * hold the pipe. Returns false when the time is over. */
static bool wait_and_read(int pidfd, int fd, uint64_t deadline_usec, struct output *output)
{
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

	for (;;) {
		uint64_t now = clock_usec();
		uint64_t msec = now < deadline_usec ? (deadline_usec - now + 999) / 1000 : 0;

		if (poll(fds, ELEMENTS(fds), msec < 60000 ? (int)msec : 60000) < 0 &&
		    errno != EINTR)
			return false;
		if (fds[0].revents && !read_output(fd, output))
			fds[0].fd = -1;
		if (fds[1].revents) {
			(void)read_output(fd, output);
			return true;
		}
		if (msec == 0)
			return false;
	}
}

void spawn_describe_end(const siginfo_t *si, char ret[static SPAWN_END_MAX])
{
	const char *what = sigdescr_np(si->si_status);

	if (si->si_code == CLD_EXITED)
		(void)snprintf(ret, SPAWN_END_MAX, "exited with status %d", si->si_status);
	else
		(void)snprintf(ret, SPAWN_END_MAX, "was killed by signal %d (%s)%s", si->si_status,
			       what ? what : "unknown",
			       si->si_code == CLD_DUMPED ? " and dumped core" : "");
}

int spawn_collect(const struct exec_spec *spec, uint64_t timeout_usec, char *buf, size_t size,
		  char ret_end[static SPAWN_END_MAX], struct error *err)
{
	_close_ int rd = -EBADF, wr = -EBADF, pidfd = -EBADF;
	uint64_t deadline_usec = clock_usec() + timeout_usec;
	struct output output = { .buf = buf, .size = size };
	struct exec_spec piped = *spec;
	siginfo_t si = { 0 };
	int fds[2], r;
	bool ended;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_sys(err, -errno, "start %s: make a pipe", spec->name);
	rd = fds[0];
	wr = fds[1];
	if (fcntl(rd, F_SETFL, O_NONBLOCK) < 0)
		return error_sys(err, -errno, "start %s: make a pipe", spec->name);

	piped.stdout_fd = wr;
	r = spawn(&piped, &pid, &pidfd, err);
	if (r < 0)
		return r;
	(void)close(take_fd(&wr));

	ended = wait_and_read(pidfd, rd, deadline_usec, &output);
	if (!ended) {
		/* The leader is killed first and reaped last: as long as it is there no other
		 * session can have its number. */
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		(void)sweep_session(pid, NULL);
	}
	while (waitid(P_PID, (id_t)pid, &si, WEXITED) < 0 && errno == EINTR)
		continue;
	if (!ended)
		return error_set(err, -ETIMEDOUT, "run %s: no end after %llu ms", spec->name,
				 (unsigned long long)(timeout_usec / 1000));
	buf[output.len] = '\0';
	if (si.si_code == CLD_EXITED && si.si_status == 0)
		ret_end[0] = '\0';
	else
		spawn_describe_end(&si, ret_end);
	return 0;
}
