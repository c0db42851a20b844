/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/sweep.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
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

/* In a control group of version 1 whoever is being ended is not any more: that takes another moment. */
static bool ends(int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	return poll(&ended, 1, 10 * 1000) == 1;
}

/* Rounds until none is left; how many there were at first. */
static int sweep_all(uid_t uid, struct error *err)
{
	int first = sweep_round(uid, 0, err), left = first;

	for (int round = 0; left > 0 && round < SWEEP_ROUNDS_MAX; round++) {
		(void)usleep((useconds_t)sweep_pause_usec(round));
		left = sweep_round(uid, 0, err);
	}
	cr_expect_leq(left, 0);
	return first;
}

Test(sweep, can_end_the_orphans_of_one_session_alone)
{
	struct error err = { 0 };
	int first, second;
	pid_t pid;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	pid = make_orphan();
	first = pidfd_open(pid, 0);
	second = pidfd_open(make_orphan(), 0);
	cr_expect_eq(sweep_session(getsid(pid), &err), 0, "%s", err.text);
	cr_expect(!lives(first) && lives(second));
	cr_expect_eq(sweep_all(user(), &err), 1, "%s", err.text);
}

Test(sweep, ends_and_reaps_inherited_orphans_of_the_user)
{
	struct error err = { 0 };
	int first, second;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	first = pidfd_open(make_orphan(), 0);
	second = pidfd_open(make_orphan(), 0);
	cr_assert(lives(first) && lives(second));
	cr_expect_eq(sweep_all(user(), &err), 2, "%s", err.text);
	cr_expect(!lives(first) && !lives(second));
	cr_expect_eq(sweep_all(user(), &err), 0, "%s", err.text);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "zombies are left");
}

static void *sleep_on(void *unused)
{
	for (;;)
		(void)pause();
	return unused;
}

Test(sweep, ends_a_process_whose_first_thread_has_ended)
{
	struct error err = { 0 };
	pthread_t thread;
	int pidfd;
	pid_t pid;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0 && setresuid(SOME_ID, SOME_ID, SOME_ID) < 0)
			_exit(1);
		(void)alarm(60);
		(void)pthread_create(&thread, NULL, sleep_on, NULL);
		pthread_exit(NULL);
	}
	pidfd = pidfd_open(pid, 0);
	(void)usleep(100000);
	cr_assert(lives(pidfd));
	cr_expect_eq(sweep_all(user(), &err), 1, "%s", err.text);
	cr_expect_not(lives(pidfd));
	cr_expect_eq(waitpid(pid, NULL, 0), pid);
}

Test(sweep, leaves_processes_that_are_not_ours_alone)
{
	struct error err = { 0 };
	pid_t pid = make_orphan(); /* somebody else has inherited it */
	int stranger = pidfd_open(pid, 0);

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	cr_expect_eq(sweep_all(user(), &err), 0, "%s", err.text);
	cr_expect(lives(stranger));
	cr_expect_eq(pidfd_send_signal(stranger, SIGKILL, NULL, 0), 0);
}

Test(sweep, leaves_other_users_alone)
{
	struct error err = { 0 };
	int orphan;

	cr_assert_eq(sweep_prepare(&err), 0, "%s", err.text);
	orphan = pidfd_open(make_orphan(), 0);
	cr_expect_eq(sweep_all(user() + 1, &err), 0, "%s", err.text);
	cr_expect(lives(orphan));
	cr_expect_eq(sweep_all(user(), &err), 1, "%s", err.text);
}

Test(sweep, believes_the_service_manager_only_about_this_process)
{
	struct error err = { 0 };
	pid_t pid = make_orphan();
	int stranger = pidfd_open(pid, 0);

	(void)setenv("SYSTEMD_EXEC_PID", "1", 1);
	cr_expect_eq(sweep_all(user(), &err), 0, "%s", err.text);
	cr_expect(lives(stranger));
	cr_expect_eq(pidfd_send_signal(stranger, SIGKILL, NULL, 0), 0);
}

#define TREE "/sys/fs/cgroup"

static bool join(const char *procs)
{
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	bool joined = fd >= 0 && write(fd, "0", 1) == 1;

	(void)close(fd);
	return joined;
}

static bool has_named_tree(void)
{
	char text[4096] = "";
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

	(void)!read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	return strstr(text, ":name=systemd:");
}

/* The hierarchy of the service manager, as the host has it, where it may be seen by us alone. */
static bool mount_tree(void)
{
	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	if (has_named_tree())
		return mount("cgroup", TREE, "cgroup", 0, "none,name=systemd") == 0;
	return mount("cgroup2", TREE, "cgroup2", 0, NULL) == 0;
}

Test(sweep, ends_everything_of_the_user_in_the_control_group_of_the_service)
{
	char self[16], group[64], procs[80];
	int inside, outside, root_inside;
	struct error err = { 0 };
	pid_t pid;

	/* One of its own: the tree is that of the host, where others may test as well. */
	(void)snprintf(self, sizeof(self), "%ld", (long)getpid());
	(void)snprintf(group, sizeof(group), TREE "/tproxyd-test-%s.service", self);
	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
	if (!mount_tree() || mkdir(group, 0755) < 0)
		cr_skip_test("needs root and a writable control group");
	(void)setenv("SYSTEMD_EXEC_PID", self, 1);
	outside = pidfd_open(make_orphan(), 0);
	cr_assert(join(procs), "%s", strerror(errno));
	inside = pidfd_open(make_orphan(), 0);
	pid = fork();
	if (pid == 0) {
		(void)alarm(30);
		(void)pause();
		_exit(0);
	}
	root_inside = pidfd_open(pid, 0);

	cr_expect_eq(sweep_all(SOME_ID, &err), 1, "%s", err.text);
	cr_expect(ends(inside));
	cr_expect(lives(outside), "another group's process");
	cr_expect(lives(root_inside), "another user's process");

	(void)pidfd_send_signal(outside, SIGKILL, NULL, 0);
	(void)pidfd_send_signal(root_inside, SIGKILL, NULL, 0);
	(void)waitpid(pid, NULL, 0);
	cr_expect(join(TREE "/cgroup.procs"));
	cr_expect_eq(rmdir(group), 0, "%s", strerror(errno));
}

Test(sweep, refuses_root)
{
	struct error err = { 0 };

	cr_expect_eq(sweep_round(0, 0, &err), -EINVAL);
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
	cr_expect_eq(sweep_all(user(), &err), 1, "%s", err.text);
	cr_expect_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
