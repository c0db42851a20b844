/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * fork and execve of a child with dropped privileges. Between the two the child makes system calls
 * only, stage by stage (spawn.c has the table), and a stage that fails is named in the parent's
 * error.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"

#define SPAWN_STDOUT (-2) /* as stderr_fd: where standard output goes */

struct exec_spec {
	const char *name; /* for errors */
	const char *path; /* absolute */
	const char *const *argv;
	const char *const *environ;         /* complete */
	const char *cwd;                    /* NULL: "/" */
	int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null; borrowed */
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
	mode_t umask;
	bool privileged; /* keeps the capabilities of root: a tool of the system, not a proxy */
	/* soft and hard limit wanted; clamped to the hard limit there is; 0: as it is */
	uint64_t nofile;
};

/* Starts it. Returns 0 with the pid and a pidfd (owned by the caller, close-on-exec) once execve()
 * has succeeded, or after a second of waiting for a file system that hangs: such a child is killed, or
 * exits with 126, like a program that fails. Otherwise the error names the stage ("start kuma-dp: set
 * user: Operation not permitted"). */
int spawn(const struct exec_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct error *err)
	_must_check_;

/* How a process ended, in words: "exited with status 1", "was killed by signal 9 (Killed)". */
#define SPAWN_END_MAX 96
void spawn_describe_end(const siginfo_t *si, char ret[static SPAWN_END_MAX]);

/* Runs it to its end and collects up to size-1 bytes of its standard output; the rest is read and
 * thrown away (stdout_fd is not looked at; stderr_fd SPAWN_STDOUT collects standard error too). At
 * the deadline it is killed with its whole session. Returns 0 with how it ended in words, "" for exit
 * status 0, or a negative errno (-ETIMEDOUT). Blocks. Its parameters are what to run, for how long, and
 * where the output and the words go. */
int spawn_collect(const struct exec_spec *spec, uint64_t timeout_usec, char *buf, size_t size,
		  char ret_end[static SPAWN_END_MAX], struct error *err) _must_check_;
