/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The daemon replaces itself by the binary that is installed, in the same process: children, rules and
 * whoever is connected notice nothing. The new one is tried first, as a child that reads the same state
 * and touches nothing: what does not understand it in time does not get to take our place. What fails
 * when it has it gives it back (daemon/os/retreat.h): we are then its successor.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "common/base/utf8.h"
#include "daemon/loop/daemon.h"
#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/notify.h"
#include "daemon/os/crossing.h"
#include "daemon/os/fd.h"
#include "daemon/os/retreat.h"
#include "daemon/process/spawn.h"

#define CHECK_USEC ((uint64_t)5 * 1000 * 1000)
/* For what has come before, at most: others may write without end. */
#define GO_USEC ((uint64_t)200 * 1000)
/* Then SIGALRM ends a successor that has not even begun to keep its own time (daemon/os/retreat.h): the timer
 * crosses the execve(). */
#define SUCCEED_SEC 30
#define DELETED     " (deleted)"

void daemon_find_program(struct daemon *d)
{
	char *path = d->reexec.program;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(d->reexec.program) - 1);
	size_t end = len > 0 ? (size_t)len : 0, tail = strlen(DELETED);

	path[end] = '\0';
	/* It was replaced right after it was executed. */
	if (end > tail && strcmp(path + end - tail, DELETED) == 0)
		path[end - tail] = '\0';
}

void daemon_forget_candidate(struct daemon *d)
{
	/* The source owns the process: it kills and reaps it. */
	d->reexec.child = sd_event_source_disable_unref(d->reexec.child);
	d->reexec.timer = sd_event_source_disable_unref(d->reexec.timer);
	d->reexec.go = sd_event_source_disable_unref(d->reexec.go);
	if (d->reexec.output > 0)
		(void)close(d->reexec.output);
	d->reexec.output = 0;
}

/* We go on: returns the answer that says why. */
static json_t *refuse(struct daemon *d, const char *why)
{
	char text[LOG_TEXT_MAX];

	daemon_forget_candidate(d);
	utf8_print(text, sizeof(text), "%s; tproxyd " TPROXYD_VERSION " goes on", why);
	log_error(NULL, "Not replaced: %s", text);
	return json_refusal(text);
}

void daemon_not_replaced(struct daemon *d, const char *why)
{
	control_reply(d->control, d->reexec.ticket, refuse(d, why));
	d->reexec.ticket = 0;
}

/* The arguments of this process, with one more; of the generation's arena. */
static char **arguments(struct daemon *d, const char *more)
{
	const struct generation *g = d->current;
	char **argv = calloc((size_t)g->argc + 3, sizeof(*argv));

	if (!argv)
		return NULL;
	argv[0] = program_invocation_name;
	memcpy(argv + 1, g->argv, (size_t)g->argc * sizeof(*argv));
	argv[g->argc + 1] = (char *)more;
	return argv;
}

static int write_down(struct daemon *d, int *ret_fd, struct error *err)
{
	_strbuf_ struct strbuf text = { 0 };

	daemon_add_handover(d, &text);
	return crossing_seal(&text, ret_fd, err);
}

static void execute(struct daemon *d, int state)
{
	_free_ char **argv = arguments(d, NULL);
	/* What we run, whatever has become of its file: it can be given the place back. */
	_close_ int former = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	char text[300];
	int r = -ENOMEM;

	if (argv && crossing_hand_on(RETREAT_STATE, state)) {
		if (former >= 0)
			(void)crossing_hand_on(RETREAT_FORMER, former);
		log_done();
		(void)alarm(SUCCEED_SEC);
		(void)execve(d->reexec.program, argv, environ);
		r = -errno;
		(void)alarm(0);
	}
	(void)unsetenv(RETREAT_STATE);
	(void)unsetenv(RETREAT_FORMER);
	utf8_print(text, sizeof(text), "execute %s: %s", d->reexec.program, strerror(-r));
	daemon_not_replaced(d, text);
}

/* All that had come before was seen to, or all but what others say. */
static int on_go(_unused_ sd_event_source *source, void *userdata)
{
	struct daemon *d = userdata;
	bool told = d->carry.ready && situation_of(d)->wish == WISH_RUN && !d->reload.generation;
	_close_ int state = -EBADF;
	struct error err = { 0 };

	daemon_forget_candidate(d);
	if (d->stop.ended) {
		daemon_not_replaced(d, "the service is stopping");
		return 0;
	}
	if (told)
		notify_reloading(d->ops->now(d));
	if (write_down(d, &state, &err) < 0)
		daemon_not_replaced(d, err.text);
	else
		execute(d, state);
	crossing_close();
	if (told)
		notify_ready();
	return 0;
}

/* What it has said: the last line, or "". */
static void read_output(int fd, char *ret, size_t size)
{
	ssize_t n = read(fd, ret, size - 1);
	char *last;

	ret[n > 0 ? n : 0] = '\0';
	while (*ret && ret[strlen(ret) - 1] == '\n')
		ret[strlen(ret) - 1] = '\0';
	last = strrchr(ret, '\n');
	if (last)
		memmove(ret, last + 1, strlen(last));
}

static int on_tried(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata)
{
	struct daemon *d = userdata;
	char said[1000], end[SPAWN_END_MAX], why[LOG_TEXT_MAX];
	const size_t ready = strlen(REEXEC_READY);

	read_output(d->reexec.output, said, sizeof(said));
	spawn_describe_end(si, end);
	if (si->si_code == CLD_EXITED && si->si_status == 0 &&
	    strncmp(said, REEXEC_READY, ready) == 0) {
		log_notice("tproxyd %s takes the place of " TPROXYD_VERSION, said + ready);
		if (sd_event_source_set_enabled(d->reexec.go, SD_EVENT_ONESHOT) < 0 ||
		    sd_event_source_set_time_relative(d->reexec.timer, GO_USEC) < 0)
			daemon_not_replaced(d, "no event can be made");
		return 0;
	}
	utf8_print(why, sizeof(why), "%s %s when it was tried%s%s", d->reexec.program, end,
		   *said ? ": " : " and said nothing", said);
	daemon_not_replaced(d, why);
	return 0;
}

static int on_late(sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	char why[LOG_TEXT_MAX];

	if (sd_event_source_get_enabled(d->reexec.go, NULL) > 0)
		return on_go(source, d);
	utf8_print(why, sizeof(why), "%s did not answer within %llu s when it was tried",
		   d->reexec.program, (unsigned long long)(CHECK_USEC / 1000000));
	daemon_not_replaced(d, why);
	return 0;
}

static int watch(struct daemon *d, int pidfd, struct error *err)
{
	int r = sd_event_add_child_pidfd(d->event, &d->reexec.child, pidfd, WEXITED, on_tried, d);
	siginfo_t si;

	if (r < 0) {
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		(void)waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED);
		(void)close(pidfd);
		return error_sys(err, r, "watch the one that is tried");
	}
	(void)sd_event_source_set_child_pidfd_own(d->reexec.child, 1);
	(void)sd_event_source_set_child_process_own(d->reexec.child, 1);
	r = sd_event_source_set_priority(d->reexec.child, PROC_PRIORITY_EXIT);
	if (r >= 0)
		r = sd_event_add_time_relative(d->event, &d->reexec.timer, CLOCK_MONOTONIC,
					       CHECK_USEC, 0, on_late, d);
	if (r >= 0)
		r = sd_event_source_set_priority(d->reexec.timer, PRIORITY_REEXEC_LATE);
	if (r >= 0)
		r = sd_event_add_defer(d->event, &d->reexec.go, on_go, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->reexec.go, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(d->reexec.go, PRIORITY_REEXEC);
	return r < 0 ? error_sys(err, r, "watch the one that is tried") : 0;
}

/* Starts the one that is installed, as a child that says whether it could. */
static int try(struct daemon *d, int state, int output, struct error *err)
{
	_free_ char **argv = arguments(d, REEXEC_CHECK);
	const struct exec_spec spec = {
		.name = "the new tproxyd",
		.path = d->reexec.program,
		.argv = (const char *const *)argv,
		.environ = (const char *const *)environ,
		.stdin_fd = state,
		.stdout_fd = output,
		.stderr_fd = output,
		.uid = getuid(),
		.gid = getgid(),
		.umask = 0077,
		.privileged = true,
	};
	int pidfd, r;
	pid_t pid;

	if (!argv)
		return error_sys(err, -ENOMEM, "start %s", spec.name);
	r = spawn(&spec, &pid, &pidfd, err);
	return r < 0 ? r : watch(d, pidfd, err);
}

static int begin(struct daemon *d, struct error *err)
{
	_close_ int state = -EBADF, output = -EBADF;
	int pipe[2], r = write_down(d, &state, err);

	crossing_close();
	if (r < 0)
		return r;
	if (pipe2(pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_sys(err, -errno, "make a pipe");
	d->reexec.output = pipe[0];
	output = pipe[1];
	return try(d, state, output, err);
}

bool daemon_reexec(struct daemon *d, json_t **ret)
{
	struct error err = { 0 };

	if (d->reexec.child) {
		*ret = json_refusal("it is being replaced already");
		return false;
	}
	if (begin(d, &err) >= 0)
		return true;
	*ret = refuse(d, err.text);
	return false;
}
