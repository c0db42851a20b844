/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/spawn.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/os/fd.h"

#define SECOND  1000000ULL
#define SOME_ID 54321

static const char *const no_environ[] = { NULL };

/* As root: another user; else: ourselves. */
static struct exec_spec shell(const char *const argv[])
{
	static const gid_t groups[] = { SOME_ID + 1, SOME_ID + 2 };
	struct exec_spec spec = {
		.name = "child",
		.path = argv[0],
		.argv = argv,
		.environ = no_environ,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 0027,
	};

	if (getuid() == 0) {
		spec.uid = SOME_ID;
		spec.gid = SOME_ID + 3;
		spec.groups = groups;
		spec.n_groups = 2;
	} else {
		static gid_t own[64];

		spec.groups = own;
		spec.n_groups = (size_t)getgroups(64, own);
	}
	return spec;
}

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SH(text)  ARGV("/bin/sh", "-c", text)

static void collect(const struct exec_spec *spec, char *buf, size_t size)
{
	struct error err = { 0 };
	char end[SPAWN_END_MAX];

	cr_assert_eq(spawn_collect(spec, 10 * SECOND, buf, size, end, &err), 0, "%s", err.text);
	cr_assert_str_eq(end, "", "it %s: %s", end, buf);
}

/* The value of a line "NAME:\tVALUE" of /proc/PID/status. */
static const char *status_line(const char *text, const char *name)
{
	static char value[256];
	const char *at = strstr(text, name);

	cr_assert_not_null(at, "no %s in %s", name, text);
	(void)sscanf(at + strlen(name), "%*[ \t]%255[^\n]", value);
	for (char *p = value; *p; p++)
		if (*p == '\t')
			*p = ' ';
	return value;
}

Test(spawn, gives_up_every_privilege)
{
	struct exec_spec spec = shell(ARGV("/bin/cat", "/proc/self/status"));
	char text[8192];

	if (getuid() != 0)
		cr_skip_test("needs root");
	collect(&spec, text, sizeof(text));
	cr_expect_str_eq(status_line(text, "\nUid:"), "54321 54321 54321 54321");
	cr_expect_str_eq(status_line(text, "\nGid:"), "54324 54324 54324 54324");
	cr_expect_eq(strncmp(status_line(text, "\nGroups:"), "54322 54323", 11), 0, "%s", text);
	cr_expect_str_eq(status_line(text, "\nCapInh:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapPrm:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapEff:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapBnd:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapAmb:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nNoNewPrivs:"), "1");
}

/* CAP_NET_ADMIN, as an ambient capability would hand it on to any program. */
static void make_inheritable(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].inheritable |= 1U << CAP_NET_ADMIN;
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
	cr_assert_eq(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0), 0);
}

Test(spawn, hands_on_no_inheritable_or_ambient_capability)
{
	struct exec_spec spec = shell(ARGV("/bin/cat", "/proc/self/status"));
	char text[8192];

	if (getuid() != 0)
		cr_skip_test("needs root");
	make_inheritable();
	collect(&spec, text, sizeof(text));
	cr_expect_str_eq(status_line(text, "\nCapInh:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapPrm:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nCapAmb:"), "0000000000000000");
}

Test(spawn, resets_signals_that_we_block_and_ignore)
{
	struct exec_spec spec = shell(ARGV("/bin/cat", "/proc/self/status"));
	sigset_t set, before;
	char text[8192];

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)sigprocmask(SIG_BLOCK, NULL, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	collect(&spec, text, sizeof(text));
	cr_expect_str_eq(status_line(text, "\nSigBlk:"), "0000000000000000");
	cr_expect_str_eq(status_line(text, "\nSigIgn:"), "0000000000000000");

	(void)sigprocmask(SIG_BLOCK, NULL, &set);
	for (int sig = 1; sig < NSIG; sig++)
		cr_expect_eq(sigismember(&set, sig), sigismember(&before, sig),
			     "our own mask has changed: %d", sig);
}

Test(spawn, makes_the_child_lead_a_session)
{
	struct exec_spec spec = shell(ARGV("/bin/cat", "/proc/self/stat"));
	int pid, group, session;
	char text[1024];

	collect(&spec, text, sizeof(text));
	cr_assert_eq(sscanf(text, "%d (cat) %*c %*d %d %d", &pid, &group, &session), 3);
	cr_expect_eq(group, pid);
	cr_expect_eq(session, pid);
}

Test(spawn, closes_every_descriptor_but_the_standard_ones)
{
	struct exec_spec spec = shell(ARGV("/bin/ls", "/proc/self/fd"));
	char text[1024];

	for (int i = 0; i < 5; i++)
		cr_assert_geq(dup(0), 3);
	cr_assert_eq(dup2(0, 777), 777);
	collect(&spec, text, sizeof(text));
	/* 3 is what ls has opened: the directory itself. */
	cr_expect_str_eq(text, "0\n1\n2\n3\n");
}

Test(spawn, sets_limits_umask_directory_and_environment)
{
	struct exec_spec spec =
		shell(SH("umask; ulimit -Sn; ulimit -Hn; pwd; echo \"$A.$PATH.$NOTIFY_SOCKET\""));
	char text[1024];

	(void)setenv("NOTIFY_SOCKET", "/nowhere", 1);
	spec.environ = ARGV("A=b", "PATH=/bin");
	spec.cwd = "/proc/self";
	spec.nofile = 100;
	collect(&spec, text, sizeof(text));
	cr_expect_eq(strncmp(text, "0027\n100\n100\n/proc/", 19), 0, "%s", text);
	cr_expect_not_null(strstr(text, "\nb./bin.\n"), "%s", text);
}

Test(spawn, gets_no_more_files_than_the_hard_limit)
{
	struct exec_spec spec = shell(SH("ulimit -Sn; ulimit -Hn"));
	struct rlimit limit = { .rlim_cur = 200, .rlim_max = 300 };
	char text[64];

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	spec.nofile = 1 << 20;
	collect(&spec, text, sizeof(text));
	cr_expect_str_eq(text, "300\n300\n");
	spec.nofile = 0;
	collect(&spec, text, sizeof(text));
	cr_expect_str_eq(text, "200\n300\n");
}

/* In a process of its own: the standard streams of this one are Criterion's. */
static int connect_crosswise(int in_rd, int out_wr, int err_wr)
{
	struct exec_spec spec = shell(SH("read x; echo out-$x; echo err-$x >&2"));
	struct error err;
	int pidfd, status;
	pid_t pid;

	/* stdin is our 2, stdout our 0, stderr our 1. */
	if (dup2(in_rd, 2) < 0 || dup2(out_wr, 0) < 0 || dup2(err_wr, 1) < 0)
		return 1;
	spec.stdin_fd = 2;
	spec.stdout_fd = 0;
	spec.stderr_fd = 1;
	if (spawn(&spec, &pid, &pidfd, &err) < 0)
		return 2;
	return waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 3;
}

Test(spawn, connects_streams_whatever_their_numbers_are)
{
	int in[2], out[2], errors[2], status;
	char text[64] = "";
	pid_t pid;

	cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
		  pipe2(errors, O_CLOEXEC) == 0);
	cr_assert_eq(write(in[1], "word\n", 5), 5);
	pid = fork();
	if (pid == 0)
		_exit(connect_crosswise(in[0], out[1], errors[1]));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	cr_assert_eq(read(out[0], text, sizeof(text) - 1), 9);
	cr_expect_str_eq(text, "out-word\n");
	cr_assert_eq(read(errors[0], text, sizeof(text) - 1), 9);
	cr_expect_str_eq(text, "err-word\n");
}

Test(spawn, returns_a_pidfd_that_no_other_program_inherits)
{
	struct exec_spec spec = shell(ARGV("/bin/sleep", "30"));
	_close_ int pidfd = -EBADF;
	struct error err = { 0 };
	siginfo_t si = { 0 };
	pid_t pid;

	cr_assert_eq(spawn(&spec, &pid, &pidfd, &err), 0, "%s", err.text);
	cr_expect_eq(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(pidfd_send_signal(pidfd, SIGTERM, NULL, 0), 0);
	cr_assert_eq(waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED), 0);
	cr_expect_eq(si.si_pid, pid);
	cr_expect_eq(si.si_code, CLD_KILLED);
}

Test(spawn, ends_the_child_when_its_parent_ends)
{
	struct exec_spec spec = shell(ARGV("/bin/sleep", "30"));
	int report[2], release[2], pidfd;
	struct pollfd ended = { .events = POLLIN };
	pid_t helper, pid;

	cr_assert(pipe2(report, O_CLOEXEC) == 0 && pipe2(release, O_CLOEXEC) == 0);
	helper = fork();
	if (helper == 0) {
		struct error err;
		char c;

		if (spawn(&spec, &pid, &pidfd, &err) < 0 ||
		    write(report[1], &pid, sizeof(pid)) < 0 || read(release[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(read(report[0], &pid, sizeof(pid)), sizeof(pid));
	ended.fd = pidfd_open(pid, 0);
	cr_assert_geq(ended.fd, 0);
	cr_expect_eq(poll(&ended, 1, 0), 0, "it lives as long as its parent");
	(void)kill(helper, SIGKILL);
	cr_expect_eq(poll(&ended, 1, 5000), 1);
	(void)close(ended.fd);
	(void)waitpid(helper, NULL, 0);
}

/* Makes a system call fail with EPERM from now on, where an argument is as given. */
static bool forbid(long call, unsigned arg, long value)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * arg),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)value, 1, 0),
		BPF_STMT(BPF_JMP | BPF_JA, value < 0 ? 0 : 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ELEMENTS(filter), .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static const struct {
	const char *what;
	long call;
	unsigned arg;
	long value; /* of the argument (its lower half); -1: any */
	bool root;  /* only root gets that far */
} stages[] = {
	{ "reset signal handlers", SYS_rt_sigaction, 0, SIGHUP, false },
	{ "start a session", SYS_setsid, 0, -1, false },
	{ "connect standard streams", SYS_dup3, 0, -1, false },
	{ "close descriptors", SYS_close_range, 0, -1, false },
	{ "set resource limits and umask", SYS_prlimit64, 3, 0, false },
	{ "empty the capability bounding set", SYS_prctl, 0, PR_CAPBSET_DROP, true },
	{ "set supplementary groups", SYS_setgroups, 0, -1, true },
	{ "set group", SYS_setresgid, 0, -1, true },
	{ "set user", SYS_setresuid, 0, -1, true },
	{ "empty the capability sets", SYS_capset, 0, -1, false },
	{ "change directory /", SYS_chdir, 0, -1, false },
	{ "set no_new_privs", SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, false },
	{ "set parent-death signal", SYS_prctl, 0, PR_SET_PDEATHSIG, false },
	{ "execute /bin/true", SYS_execve, 0, -1, false },
};

/* Runs in a process of its own, for a filter cannot be taken off again; writes the error text. */
static void fail_at(size_t stage, int fd)
{
	struct exec_spec spec = shell(ARGV("/bin/true"));
	struct error err = { 0 };
	int pidfd, r;
	pid_t pid;

	(void)alarm(20);
	spec.cwd = "/";
	spec.nofile = 64;
	if (!forbid(stages[stage].call, stages[stage].arg, stages[stage].value))
		_exit(1);
	r = spawn(&spec, &pid, &pidfd, &err);
	if (write(fd, err.text, strlen(err.text)) < 0 || r != -EPERM)
		_exit(2);
	/* What failed must have been reaped. */
	_exit(waitpid(-1, NULL, 0) < 0 && errno == ECHILD ? 0 : 3);
}

Test(spawn, names_the_stage_that_failed)
{
	for (size_t i = 0; i < ELEMENTS(stages); i++) {
		char text[600] = "", expected[600];
		int fds[2], status;
		pid_t pid;

		if (stages[i].root && getuid() != 0)
			continue;
		cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			fail_at(i, fds[1]);
		(void)close(fds[1]);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_geq(read(fds[0], text, sizeof(text) - 1), 0);
		(void)close(fds[0]);
		(void)snprintf(expected, sizeof(expected),
			       "start child: %s: Operation not permitted", stages[i].what);
		cr_expect_str_eq(text, expected);
		cr_expect_eq(status, 0, "%s: status %#x", stages[i].what, (unsigned)status);
	}
}

static void expect_failure(const struct exec_spec *spec, int code, const char *text)
{
	struct error err = { 0 };
	int pidfd = -1;
	pid_t pid = 0;

	cr_expect_eq(spawn(spec, &pid, &pidfd, &err), code);
	cr_expect_str_eq(err.text, text);
	cr_expect(pid == 0 && pidfd == -1, "outputs are left alone");
}

Test(spawn, says_what_is_wrong_with_the_program)
{
	struct exec_spec spec = shell(ARGV("/nonexistent/kuma-dp"));

	expect_failure(&spec, -ENOENT,
		       "start child: execute /nonexistent/kuma-dp: No such file or directory");
	spec.path = "/proc/version";
	expect_failure(&spec, -EACCES, "start child: execute /proc/version: Permission denied");
	spec.path = "/bin/true";
	spec.cwd = "/nonexistent";
	expect_failure(&spec, -ENOENT,
		       "start child: change directory /nonexistent: No such file or directory");
	spec.cwd = NULL;
	spec.stdout_fd = 999;
	expect_failure(&spec, -EBADF, "start child: connect standard streams: Bad file descriptor");
}

Test(spawn, names_the_bounding_set_where_the_capability_for_it_is_missing)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	struct exec_spec spec = shell(ARGV("/bin/true"));

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1U << CAP_SETPCAP);
	data[0].permitted &= ~(1U << CAP_SETPCAP);
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
	expect_failure(&spec, -EPERM,
		       "start child: empty the capability bounding set: Operation not permitted");
}

Test(spawn, starts_a_process_as_oneself_without_any_privilege)
{
	struct exec_spec spec = shell(SH("id -u; id -g; grep NoNewPrivs /proc/self/status"));
	char text[256], expected[256];

	if (getuid() == 0) {
		cr_assert(setresgid(SOME_ID, SOME_ID, SOME_ID) == 0 &&
			  setresuid(SOME_ID, SOME_ID, SOME_ID) == 0);
		spec = shell(spec.argv);
	}
	collect(&spec, text, sizeof(text));
	(void)snprintf(expected, sizeof(expected), "%u\n%u\nNoNewPrivs:\t1\n", getuid(), getgid());
	cr_expect_str_eq(text, expected);
	spec.uid = SOME_ID + 9;
	expect_failure(&spec, -EPERM,
		       "start child: empty the capability bounding set: Operation not permitted");
}
