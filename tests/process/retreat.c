/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/retreat.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/os/crossing.h"

#define STATE_FD 8

/* The "former program" says what it was given, what is left of the state's text, and which signals are
 * blocked (SIGHUP is 1) and ignored. (dash would unblock them.) */
#define SCRIPT                                                                                 \
	"echo \"$TPROXYD_WHY\"; echo \"$0 $1 ${TPROXYD_FORMER-none}\"; cat <&$TPROXYD_STATE; " \
	"grep -E 'SigBlk|SigIgn' /proc/self/status"

static char *arguments[] = { (char[]){ "bash" }, (char[]){ "-c" },   (char[]){ SCRIPT },
			     (char[]){ "run" },  (char[]){ "more" }, NULL };

static void hand_on(void)
{
	_strbuf_ struct strbuf text = { 0 };
	struct error err;
	char all[100];
	int fd = -1;

	strbuf_add(&text, "the state\n");
	cr_assert_eq(crossing_seal(&text, &fd, &err), 0, "%s", err.text);
	cr_assert_eq(dup2(fd, STATE_FD), STATE_FD);
	(void)close(fd);
	/* Who fails may have read it. */
	cr_assert_gt(read(STATE_FD, all, sizeof(all)), 0);
	cr_assert(crossing_hand_on(RETREAT_STATE, STATE_FD));
	cr_assert(crossing_hand_on(RETREAT_FORMER, open("/bin/bash", O_PATH | O_CLOEXEC)));
}

static void touch_nothing(void)
{
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*page = 1;
}

static int call_deeper(volatile char *above, int depth)
{
	volatile char room[4096];

	room[0] = *above;
	return depth > 0 ? call_deeper(room, depth + 1) + room[0] : 0;
}

static void run_over(void)
{
	volatile char begin = 1;

	(void)call_deeper(&begin, begin);
}

static void be_late(void)
{
	unsigned left = alarm(0);

	(void)raise(left > 0 && left <= 5 ? SIGALRM : SIGKILL);
}

static void be_killed_in_turn(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)raise(SIGALRM);
	(void)raise(SIGBUS);
	(void)sigemptyset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
}

static void end(void)
{
	exit(1);
}

static void fail(void)
{
	struct error err;

	(void)error_set(&err, -EBADMSG, "this is\nnothing");
	retreat(&err);
}

/* What the former program says, after this one has done that. */
static void fails_by(void (*fault)(void), const char *why)
{
	char said[2000] = "", expected[2000];
	int fds[2], status;
	pid_t pid;
	size_t len = 0;
	ssize_t n;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		sigset_t set;

		(void)dup2(fds[1], STDOUT_FILENO);
		hand_on();
		/* As they come from a former one; some that must not stay so. */
		(void)sigemptyset(&set);
		(void)sigaddset(&set, SIGHUP);
		(void)sigaddset(&set, SIGSEGV);
		(void)sigaddset(&set, SIGALRM);
		(void)sigprocmask(SIG_SETMASK, &set, NULL);
		retreat_prepare(5, arguments);
		fault();
		_exit(42);
	}
	(void)close(fds[1]);
	while ((n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	(void)close(fds[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	(void)snprintf(expected, sizeof(expected),
		       "tproxyd " TPROXYD_VERSION " %s\nrun more none\nthe state\n"
		       "SigBlk:\t0000000000000001\nSigIgn:\t0000000000000000\n",
		       why);
	cr_expect_str_eq(said, expected);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", (unsigned)status);
}

Test(retreat, whoever_crashes_gives_the_place_back)
{
	fails_by(touch_nothing, "was ended by SIGSEGV while it took over");
	fails_by(run_over, "was ended by SIGSEGV while it took over");
	fails_by(abort, "was ended by SIGABRT while it took over");
}

Test(retreat, whoever_is_late_exits_or_fails_gives_it_back)
{
	fails_by(be_late, "was not ready within 5 s");
	fails_by(be_killed_in_turn, "was ended by SIGBUS while it took over");
	fails_by(end, "has exited while it took over");
	fails_by(fail, "cannot take over: this is\nnothing");
}

Test(retreat, whoever_has_taken_over_keeps_it)
{
	struct error err = { .text = "something" };
	struct sigaction before, after;
	stack_t stack_before, stack_after;
	const char *former;
	int fd;

	hand_on();
	former = getenv(RETREAT_FORMER);
	fd = crossing_number(RETREAT_FORMER);
	cr_assert_not_null(former);
	(void)sigaction(SIGSEGV, NULL, &before);
	(void)sigaltstack(NULL, &stack_before);
	retreat_prepare(5, arguments);
	cr_expect(retreat_is_open());
	cr_expect_null(getenv(RETREAT_FORMER));
	cr_expect(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	retreat_close();
	cr_expect_not(retreat_is_open());
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	cr_expect_eq(alarm(0), 0);
	(void)sigaction(SIGSEGV, NULL, &after);
	(void)sigaltstack(NULL, &stack_after);
	cr_expect(after.sa_handler == before.sa_handler);
	cr_expect_eq(stack_after.ss_sp, stack_before.ss_sp);
	retreat(&err);
	retreat_close();
}

Test(retreat, whoever_has_no_former_one_has_no_way_back)
{
	struct error err = { .text = "something" };

	retreat_prepare(5, arguments);
	cr_expect_not(retreat_is_open());
	hand_on();
	(void)unsetenv(RETREAT_FORMER);
	retreat_prepare(5, arguments);
	cr_expect_not(retreat_is_open());
	(void)setenv(RETREAT_FORMER, "9999", 1);
	retreat_prepare(5, arguments);
	cr_expect_not(retreat_is_open());
	cr_expect_eq(alarm(0), 0);
	retreat(&err);
}

Test(retreat, where_the_former_one_cannot_be_executed_it_ends_as_it_would)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		hand_on();
		(void)crossing_hand_on(RETREAT_FORMER, open("/dev/null", O_PATH | O_CLOEXEC));
		retreat_prepare(5, arguments);
		(void)raise(SIGTRAP);
		_exit(42);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTRAP, "%#x", (unsigned)status);
}
