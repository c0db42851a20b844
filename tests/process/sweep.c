/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/sweep.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOME_ID 54377

/* The user under test: a number of nobody's where we may become it, else our own. */
static uid_t user(void)
{
	return getuid() == 0 ? SOME_ID : getuid();
}

static void sleep_as_user(void)
{
	(void)signal(SIGTERM, SIG_IGN);
	if (getuid() == 0 && setresuid(SOME_ID, SOME_ID, SOME_ID) < 0)
		_exit(1);
	(void)alarm(60);
	for (;;)
		(void)pause();
}

/* A process whose parent, a session of its own, has ended. */
static pid_t make_orphan(void)
{
	pid_t parent, pid;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	parent = fork();
	if (parent == 0) {
		(void)setsid();
		pid = fork();
		if (pid == 0)
			sleep_as_user();
		(void)!write(fds[1], &pid, sizeof(pid));
		_exit(0);
	}
	cr_assert_eq(waitpid(parent, NULL, 0), parent);
	cr_assert_eq(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
	(void)close(fds[0]);
	(void)close(fds[1]);
	/* Until it has changed its user it is not what is looked for. */
	(void)usleep(100000);
	return pid;
}

static bool lives(int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	return poll(&ended, 1, 0) == 0;
}

Test(sweep, ends_and_reaps_inherited_orphans_of_the_user)
{
	struct error err = { 0 };
	int first, second;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	first = pidfd_open(make_orphan(), 0);
	second = pidfd_open(make_orphan(), 0);
	cr_assert(lives(first) && lives(second));
	cr_expect_eq(sweep_uid(user(), &err), 2, "%s", err.text);
	cr_expect(!lives(first) && !lives(second));
	cr_expect_eq(sweep_uid(user(), &err), 0, "%s", err.text);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "zombies are left");
}

Test(sweep, leaves_processes_that_are_not_ours_alone)
{
	struct error err = { 0 };
	pid_t pid = make_orphan(); /* somebody else has inherited it */
	int stranger = pidfd_open(pid, 0);

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	cr_expect_eq(sweep_uid(user(), &err), 0, "%s", err.text);
	cr_expect(lives(stranger));
	cr_expect_eq(pidfd_send_signal(stranger, SIGKILL, NULL, 0), 0);
}

Test(sweep, leaves_other_users_alone)
{
	struct error err = { 0 };
	int orphan;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	orphan = pidfd_open(make_orphan(), 0);
	cr_expect_eq(sweep_uid(user() + 1, &err), 0, "%s", err.text);
	cr_expect(lives(orphan));
	cr_expect_eq(sweep_uid(user(), &err), 1, "%s", err.text);
}

Test(sweep, believes_the_service_manager_only_about_this_process)
{
	struct error err = { 0 };
	pid_t pid = make_orphan();
	int stranger = pidfd_open(pid, 0);

	(void)setenv("SYSTEMD_EXEC_PID", "1", 1);
	cr_expect_eq(sweep_uid(user(), &err), 0, "%s", err.text);
	cr_expect(lives(stranger));
	cr_expect_eq(pidfd_send_signal(stranger, SIGKILL, NULL, 0), 0);
}

Test(sweep, refuses_root)
{
	struct error err = { 0 };

	cr_expect_eq(sweep_uid(0, &err), -EINVAL);
	cr_expect_str_eq(err.text, "processes of root are never swept");
}

Test(sweep, leaves_the_reaping_of_a_child_to_its_owner)
{
	struct error err = { 0 };
	pid_t child = fork();
	int status;

	if (child == 0) {
		(void)setsid();
		sleep_as_user();
	}
	(void)usleep(100000);
	cr_expect_eq(sweep_uid(user(), &err), 1, "%s", err.text);
	cr_expect_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
