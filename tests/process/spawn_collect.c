/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/spawn.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000ULL

static struct exec_spec script(const char *text)
{
	static const char *const no_environ[] = { "PATH=/usr/bin:/bin", NULL };
	static const char *argv[] = { "/bin/sh", "-c", NULL, NULL };
	static gid_t groups[64];

	argv[2] = text;
	return (struct exec_spec){
		.name = "script",
		.path = argv[0],
		.argv = argv,
		.environ = no_environ,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.uid = getuid(),
		.gid = getgid(),
		.groups = groups,
		.n_groups = (size_t)getgroups(64, groups),
		.umask = 0022,
	};
}

static double now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

Test(spawn_collect, collects_standard_output_and_the_status)
{
	struct exec_spec spec = script("echo one; echo two >&2; exit 3");
	struct error err = { 0 };
	char text[64], end[SPAWN_END_MAX];

	cr_assert_eq(spawn_collect(&spec, 10 * SECOND, text, sizeof(text), end, &err), 0, "%s",
		     err.text);
	cr_expect_str_eq(text, "one\n");
	cr_expect_str_eq(end, "exited with status 3");
}

Test(spawn_collect, collects_standard_error_too_where_asked)
{
	struct exec_spec spec = script("echo one; echo two >&2; kill -9 $$");
	struct error err = { 0 };
	char text[64], end[SPAWN_END_MAX];

	spec.stderr_fd = SPAWN_STDOUT;
	cr_assert_eq(spawn_collect(&spec, 10 * SECOND, text, sizeof(text), end, &err), 0, "%s",
		     err.text);
	cr_expect_str_eq(text, "one\ntwo\n");
	cr_expect_str_eq(end, "was killed by signal 9 (Killed)");
}

Test(spawn_collect, cuts_what_is_too_long_without_stopping_the_writer)
{
	struct exec_spec spec = script("yes 1234567 | head -c 1000000; exit 7");
	struct error err = { 0 };
	char text[13], end[SPAWN_END_MAX];

	cr_assert_eq(spawn_collect(&spec, 20 * SECOND, text, sizeof(text), end, &err), 0, "%s",
		     err.text);
	cr_expect_str_eq(text, "1234567\n1234");
	cr_expect_str_eq(end, "exited with status 7");
}

/* Whether any live process has this session. */
static bool session_lives(int session)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "ps -e -o sid=,stat= | grep -q '^ *%d [^Z]'",
		       session);
	return system(command) == 0;
}

Test(spawn_collect, kills_the_whole_session_at_the_deadline)
{
	/* set -m: each in a process group of its own, as kuma-dp's children are. */
	struct exec_spec spec = script("trap '' TERM; set -m; echo $$ >$out; sleep 60 & sleep 60");
	char path[] = "/tmp/spawn_collect.XXXXXX", out[64], text[64] = "untouched";
	char end[SPAWN_END_MAX] = "untouched";
	const char *environ_with_out[] = { "PATH=/usr/bin:/bin", out, NULL };
	int fd = mkstemp(path), session = 0;
	struct error err = { 0 };
	double start = now();
	FILE *f;

	cr_assert_geq(fd, 0);
	(void)snprintf(out, sizeof(out), "out=%s", path);
	spec.environ = environ_with_out;
	cr_expect_eq(spawn_collect(&spec, SECOND / 2, text, sizeof(text), end, &err), -ETIMEDOUT);
	cr_expect_lt(now() - start, 50.0);
	cr_expect_geq(now() - start, 0.5);
	cr_expect_str_eq(err.text, "run script: no end after 500 ms");
	cr_expect_str_eq(end, "untouched");

	f = fdopen(fd, "r");
	cr_assert_eq(fscanf(f, "%d", &session), 1);
	(void)fclose(f);
	(void)unlink(path);
	cr_expect_not(session_lives(session), "something of session %d is left", session);
}

Test(spawn_collect, does_not_wait_for_a_grandchild_that_holds_the_pipe)
{
	struct exec_spec spec = script("sleep 60 & echo $!");
	struct error err = { 0 };
	double start = now();
	char text[64], end[SPAWN_END_MAX];
	int pid;

	cr_assert_eq(spawn_collect(&spec, 50 * SECOND, text, sizeof(text), end, &err), 0, "%s",
		     err.text);
	cr_expect_lt(now() - start, 50.0);
	cr_expect_str_eq(end, "");
	pid = atoi(text);
	cr_assert_gt(pid, 1, "%s", text);
	cr_expect_eq(kill(pid, SIGKILL), 0);
}

Test(spawn_collect, says_why_nothing_was_started)
{
	struct exec_spec spec = script("");
	struct error err = { 0 };
	char text[8], end[SPAWN_END_MAX];

	spec.path = "/nonexistent";
	cr_expect_eq(spawn_collect(&spec, SECOND, text, sizeof(text), end, &err), -ENOENT);
	cr_expect_str_eq(err.text, "start script: execute /nonexistent: No such file or directory");
}
