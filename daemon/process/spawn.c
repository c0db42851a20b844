/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/os/fd.h"

/* in the child, close-on-exec: exec succeeded when it ends without a report */
#define STATUS_FD 3
/* An execve() may wait for a file system that hangs. Whoever has a program started sets it a time, which goes
 * for one that has not come to be it yet, too. */
#define EXEC_MSEC 1000

struct child {
	const struct exec_spec *spec;
	int status_fd, null_fd;
	pid_t parent;
};

struct report {
	uint32_t stage;
	int32_t error; /* errno */
};

static int reset_signals(_unused_ struct child *child)
{
	const struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	/* EINVAL: SIGKILL, SIGSTOP and the two that the C library keeps for itself. */
	for (int sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, &action, NULL) < 0 && errno != EINVAL)
			return -1;
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int new_session(_unused_ struct child *child)
{
	return setsid();
}

static int stdio_fd(const struct child *child, int fd)
{
	if (fd == SPAWN_STDOUT)
		fd = child->spec->stdout_fd;
	return fd < 0 ? child->null_fd : fd;
}

/* Any of the descriptors may be among those that the others are to become: all step aside first. */
static int connect_stdio(struct child *child)
{
	int fds[] = { stdio_fd(child, child->spec->stdin_fd),
		      stdio_fd(child, child->spec->stdout_fd),
		      stdio_fd(child, child->spec->stderr_fd) };

	child->status_fd = fcntl(child->status_fd, F_DUPFD_CLOEXEC, STATUS_FD + 1);
	if (child->status_fd < 0)
		return -1;
	for (int i = 0; i < 3; i++) {
		fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STATUS_FD + 1);
		if (fds[i] < 0)
			return -1;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			return -1;
	if (dup3(child->status_fd, STATUS_FD, O_CLOEXEC) < 0)
		return -1;
	child->status_fd = STATUS_FD;
	return 0;
}

static int close_fds(_unused_ struct child *child)
{
	return close_range(STATUS_FD + 1, ~0U, 0);
}

static int set_limits(struct child *child)
{
	uint64_t wanted = child->spec->nofile;
	struct rlimit limit;

	(void)umask(child->spec->umask);
	if (wanted == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_max = limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int drop_bounding(struct child *child)
{
	if (child->spec->privileged)
		return 0;
	for (unsigned long cap = 0; cap <= 63; cap++) {
		int r = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (r < 0)
			break; /* past the last one of this kernel */
		if (r == 0 || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		/* A plain user may not, and need not where it starts a process as itself:
		 * no_new_privs makes the set moot. */
		return errno == EPERM && geteuid() != 0 && geteuid() == child->spec->uid ? 0 : -1;
	}
	return 0;
}

/* Whether the groups of this process differ from those wanted; order has no meaning. */
static bool groups_differ(const struct exec_spec *spec)
{
	gid_t now[64];
	int n = getgroups((int)ELEMENTS(now), now);

	if (n < 0 || (size_t)n != spec->n_groups)
		return true;
	for (int i = 0; i < n; i++) {
		size_t j = 0;

		while (j < spec->n_groups && spec->groups[j] != now[i])
			j++;
		if (j == spec->n_groups)
			return true;
	}
	return false;
}

static int set_groups(struct child *child)
{
	const struct exec_spec *spec = child->spec;

	return groups_differ(spec) ? setgroups(spec->n_groups, spec->groups) : 0;
}

static int set_gid(struct child *child)
{
	gid_t gid = child->spec->gid;

	return setresgid(gid, gid, gid);
}

static int set_uid(struct child *child)
{
	uid_t uid = child->spec->uid;

	return setresuid(uid, uid, uid);
}

/* Leaving UID 0 empties the permitted, effective and ambient sets, but not the inheritable one. */
static int drop_capabilities(struct child *child)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (child->spec->privileged)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_capset, &header, none);
}

/* As the user: the directory may be closed to root without CAP_DAC_OVERRIDE. */
static int change_directory(struct child *child)
{
	return chdir(child->spec->cwd ? child->spec->cwd : "/");
}

static int no_new_privs(_unused_ struct child *child)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int die_with_parent(struct child *child)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -1;
	/* A parent that died before the call sends nothing any more. */
	errno = ESRCH;
	return getppid() == child->parent ? 0 : -1;
}

static int run(struct child *child)
{
	const struct exec_spec *spec = child->spec;

	return execve(spec->path, (char *const *)spec->argv, (char *const *)spec->environ);
}

/*
 * What happens between fork() and execve(), in this order. The bounding set goes while there is a
 * capability that allows it; groups go before the user because only root may change them; the
 * parent-death signal goes last because changing credentials clears it (prctl(2)). What fails
 * returns -1 with errno.
 */
static const struct {
	int (*apply)(struct child *child);
	const char *what;
} stages[] = {
	{ reset_signals, "reset signal handlers" },
	{ new_session, "start a session" },
	{ connect_stdio, "connect standard streams" },
	{ close_fds, "close descriptors" },
	{ set_limits, "set resource limits and umask" },
	{ drop_bounding, "empty the capability bounding set" },
	{ set_groups, "set supplementary groups" },
	{ set_gid, "set group" },
	{ set_uid, "set user" },
	{ drop_capabilities, "empty the capability sets" },
	{ change_directory, "change directory" },
	{ no_new_privs, "set no_new_privs" },
	{ die_with_parent, "set parent-death signal" },
	{ run, "execute" },
};

static _Noreturn void child_main(struct child *child)
{
	struct report report = { 0 };

	/* The last one returns only where it has failed. */
	while (stages[report.stage].apply(child) >= 0)
		report.stage++;
	report.error = errno;
	/* Nobody waits for it any more: see EXEC_MSEC. */
	(void)signal(SIGPIPE, SIG_IGN);
	_exit(write(child->status_fd, &report, sizeof(report)) == sizeof(report) ? 127 : 126);
}

static int report_error(const struct exec_spec *spec, const struct report *report,
			struct error *err)
{
	int (*apply)(struct child * child) = stages[report->stage].apply;
	const char *object = apply == run                ? spec->path
			     : apply == change_directory ? spec->cwd
							 : NULL;

	return error_sys(err, -report->error, "start %s: %s%s%s", spec->name,
			 stages[report->stage].what, object ? " " : "", object ? object : "");
}

/* fork() with all signals blocked: nothing of ours may run in the child
 * before it has reset them. */
static pid_t fork_blocked(struct child *child)
{
	sigset_t all, before;
	pid_t pid;
	int saved;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, &before) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		child_main(child);
	saved = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = saved;
	return pid;
}

/* Returns whether the child has reported a failed stage; false: it is the program now, or is about to be. */
static bool read_report(int fd, struct report *ret)
{
	struct pollfd waits = { .fd = fd, .events = POLLIN };
	ssize_t n;
	int r;

	do
		r = poll(&waits, 1, EXEC_MSEC);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return false;
	do
		n = read(fd, ret, sizeof(*ret));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*ret);
}

int spawn(const struct exec_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct error *err)
{
	_close_ int status_rd = -EBADF, status_wr = -EBADF, null = -EBADF, pidfd = -EBADF;
	struct child child = { .spec = spec, .parent = getpid() };
	struct report report;
	int status[2], r;
	pid_t pid;

	null = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (null < 0)
		return error_sys(err, -errno, "start %s: open /dev/null", spec->name);
	if (pipe2(status, O_CLOEXEC) < 0)
		return error_sys(err, -errno, "start %s: make a pipe", spec->name);
	status_rd = status[0];
	status_wr = status[1];
	child.null_fd = null;
	child.status_fd = status_wr;
	pid = fork_blocked(&child);
	if (pid < 0)
		return error_sys(err, -errno, "start %s: fork", spec->name);
	(void)close(take_fd(&status_wr));
	/* Nobody but us reaps it, so the number cannot have changed hands yet. */
	pidfd = pidfd_open(pid, 0);
	r = pidfd < 0 ? -errno : 0;
	if (r < 0)
		(void)kill(pid, SIGKILL);
	if (r < 0 || read_report(status_rd, &report)) {
		(void)waitpid(pid, NULL, 0);
		return r < 0 ? error_sys(err, r, "start %s: open a pidfd", spec->name)
			     : report_error(spec, &report, err);
	}
	*ret_pid = pid;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}
