/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/proc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MSEC   1000ULL
#define SECOND 1000000ULL

/* A child, a clock and a timer of paper, and a book of what was done. */
struct world {
	struct proc proc;
	struct carried_process process;
	uint64_t now, due;
	int spawn_result, prepare_result, signal_result;
	uint32_t random;
	uint64_t pause; /* the last one that was told */
	char log[512];
};

static void note(struct world *world, const char *what)
{
	strncat(world->log, what, sizeof(world->log) - strlen(world->log) - 1);
	strncat(world->log, " ", sizeof(world->log) - strlen(world->log) - 1);
}

static int fake_prepare(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata)
{
	struct world *world = userdata;

	(void)proc;
	ret->name = "fake";
	note(world, "prepare");
	return world->prepare_result < 0 ? error_sys(err, world->prepare_result, "write file")
					 : world->prepare_result;
}

static void fake_waits(struct proc *proc, uint64_t pause_usec, void *userdata)
{
	struct world *world = userdata;

	(void)proc;
	world->pause = pause_usec;
}

static void fake_ended(struct proc *proc, const siginfo_t *si, void *userdata)
{
	(void)userdata;
	cr_expect_eq(proc->process->pid, 0);
	cr_expect_gt(si->si_pid, 0);
}

static void fake_changed(struct proc *proc, void *userdata)
{
	note(userdata, proc_state_name(proc->state));
}

static void fake_failed(struct proc *proc, const struct error *err, void *userdata)
{
	(void)proc;
	note(userdata, err->text);
}

static int fake_spawn(struct proc *proc, const struct exec_spec *spec, struct error *err)
{
	struct world *world = proc->userdata;

	cr_assert_str_eq(spec->name, "fake");
	cr_assert_eq(proc->process->pid, 0, "a second process");
	note(world, "spawn");
	if (world->spawn_result < 0)
		return error_sys(err, world->spawn_result, "start fake");
	proc->process->pid = 42;
	return 0;
}

static int fake_signal(struct proc *proc, int sig)
{
	struct world *world = proc->userdata;

	cr_assert_eq(proc->process->pid, 42, "a signal to nobody");
	note(world, sigabbrev_np(sig));
	return world->signal_result;
}

static void fake_arm(struct proc *proc, uint64_t delay_usec)
{
	struct world *world = proc->userdata;

	world->due = delay_usec == USEC_NEVER ? USEC_NEVER : world->now + delay_usec;
}

static uint64_t fake_now(struct proc *proc)
{
	return ((struct world *)proc->userdata)->now;
}

static uint32_t fake_random(struct proc *proc)
{
	return ((struct world *)proc->userdata)->random;
}

static const struct proc_ops fake_ops = { fake_spawn, fake_signal, fake_arm,
					  fake_now,   fake_random, NULL };
static const struct proc_owner fake_owner = { fake_prepare, fake_waits, fake_ended, fake_changed,
					      fake_failed };

static void world_init(struct world *world)
{
	struct error err;

	*world = (struct world){ .now = 1000 * SECOND, .due = USEC_NEVER };
	world->proc = (struct proc){
		.name = "fake",
		.ops = &fake_ops,
		.owner = &fake_owner,
		.userdata = world,
		.process = &world->process,
		.drain_usec = 30 * SECOND,
		.backoff = { .delay_usec = 250 * MSEC, .max_usec = SECOND },
	};
	cr_assert_eq(proc_init(&world->proc, &err), 0);
}

static void advance(struct world *world, uint64_t usec)
{
	uint64_t end = world->now + usec;

	while (world->due <= end) {
		world->now = world->due;
		world->due = USEC_NEVER;
		proc_timeout(&world->proc);
	}
	world->now = end;
}

static void fake_exit(struct world *world, int code, int status)
{
	siginfo_t si = { .si_signo = SIGCHLD };

	si.si_code = code;
	si.si_status = status;
	si.si_pid = 42;
	proc_exited(&world->proc, &si);
}

static void expect_log(struct world *world, const char *expected)
{
	cr_expect_str_eq(world->log, expected);
	world->log[0] = '\0';
}

static void world_up(struct world *world)
{
	world_init(world);
	proc_event(&world->proc, PROC_EV_START);
	proc_event(&world->proc, PROC_EV_READY);
	expect_log(world, "prepare spawn starting ready ");
}

Test(proc, starts_serves_drains_and_ends)
{
	struct world world;

	world_up(&world);
	cr_expect_eq(world.due, USEC_NEVER, "nothing is waited for");
	cr_expect_eq(world.proc.process->started_usec, 1000 * SECOND);
	proc_event(&world.proc, PROC_EV_STOP);
	expect_log(&world, "TERM stopping ");
	advance(&world, SECOND);
	proc_event(&world.proc, PROC_EV_HURRY);
	expect_log(&world, "TERM ");
	fake_exit(&world, CLD_EXITED, 0);
	expect_log(&world, "down ");
	cr_expect_eq(world.proc.process->pid, 0);
	cr_expect_eq(world.due, USEC_NEVER);
	cr_expect_str_eq(world.proc.last_exit_text, "exited with status 0");
}

Test(proc, gives_a_drain_its_time_before_it_kills)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	advance(&world, 39999 * MSEC);
	expect_log(&world, "TERM stopping ");
	advance(&world, 1 * MSEC);
	expect_log(&world, "KILL ");
}

Test(proc, kills_ten_seconds_after_the_drain_was_ended)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	advance(&world, 5 * SECOND);
	proc_event(&world.proc, PROC_EV_HURRY);
	advance(&world, 9999 * MSEC);
	expect_log(&world, "TERM stopping TERM ");
	advance(&world, 1 * MSEC);
	expect_log(&world, "KILL ");
}

Test(proc, keeps_two_signals_apart_so_that_they_cannot_merge)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	proc_event(&world.proc, PROC_EV_HURRY);
	advance(&world, 249 * MSEC);
	expect_log(&world, "TERM stopping ");
	advance(&world, 1 * MSEC);
	expect_log(&world, "TERM ");
	advance(&world, 10 * SECOND);
	expect_log(&world, "KILL ");
}

Test(proc, ends_a_drain_once_however_often_it_is_asked_to)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	for (int i = 0; i < 200; i++) {
		proc_event(&world.proc, PROC_EV_HURRY);
		proc_event(&world.proc, PROC_EV_HURRY);
		advance(&world, 100 * MSEC);
	}
	expect_log(&world, "TERM stopping TERM KILL ");
}

Test(proc, does_not_prolong_a_kill_timer_that_is_nearly_over)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	advance(&world, 39 * SECOND);
	proc_event(&world.proc, PROC_EV_HURRY);
	expect_log(&world, "TERM stopping TERM ");
	advance(&world, SECOND);
	expect_log(&world, "KILL ");
}

Test(proc, does_not_let_start_and_stop_in_turn_save_a_hung_process)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_STOP);
	world.log[0] = '\0';
	for (int i = 0; i < 40; i++) {
		advance(&world, SECOND - 1);
		proc_event(&world.proc, PROC_EV_START);
		proc_event(&world.proc, PROC_EV_STOP);
		expect_log(&world, "restarting stopping ");
	}
	advance(&world, SECOND);
	expect_log(&world, "KILL ");
}

Test(proc, comes_back_with_growing_pauses)
{
	static const uint64_t pauses[] = { 250 * MSEC, 500 * MSEC, SECOND, SECOND };
	struct world world;

	world_up(&world);
	for (unsigned i = 0; i < 4; i++) {
		fake_exit(&world, CLD_KILLED, SIGKILL);
		expect_log(&world, "backing off ");
		cr_expect_eq(world.pause, pauses[i]);
		cr_expect_eq(world.proc.due_usec, world.now + pauses[i]);
		cr_expect_eq(world.proc.last_exit_usec, world.now);
		cr_expect_eq(world.proc.last_pid, 42);
		advance(&world, pauses[i] - 1);
		expect_log(&world, "");
		advance(&world, 1);
		expect_log(&world, "prepare spawn starting ");
	}
	cr_expect_str_eq(world.proc.last_exit_text, "was killed by signal 9 (Killed)");
	cr_expect_eq(world.proc.process->starts, 5);
}

/* Whoever serves and dies, and serves and dies, has not become any better. */
Test(proc, forgets_its_pauses_after_a_stable_minute_and_not_before)
{
	struct world world;

	world_up(&world);
	for (int i = 0; i < 3; i++) {
		fake_exit(&world, CLD_EXITED, 1);
		advance(&world, SECOND);
		proc_event(&world.proc, PROC_EV_READY);
	}
	advance(&world, PROC_STABLE_USEC - 1);
	fake_exit(&world, CLD_EXITED, 1);
	cr_expect_eq(world.pause, SECOND);
	advance(&world, SECOND);
	proc_event(&world.proc, PROC_EV_READY);
	advance(&world, PROC_STABLE_USEC);
	proc_event(&world.proc, PROC_EV_LOST);
	advance(&world, SECOND);
	fake_exit(&world, CLD_EXITED, 1);
	cr_expect_eq(world.pause, 250 * MSEC);
}

/* The minute is one in a piece. */
Test(proc, counts_no_minute_that_was_interrupted)
{
	struct world world;

	world_up(&world);
	fake_exit(&world, CLD_EXITED, 1);
	advance(&world, SECOND);
	for (int i = 0; i < 4; i++) {
		proc_event(&world.proc, PROC_EV_READY);
		advance(&world, PROC_STABLE_USEC / 2);
		proc_event(&world.proc, PROC_EV_LOST);
	}
	fake_exit(&world, CLD_EXITED, 1);
	cr_expect_eq(world.pause, 500 * MSEC);
}

Test(proc, asks_again_where_something_has_to_end_before_a_start)
{
	struct world world;

	world_up(&world);
	fake_exit(&world, CLD_EXITED, 1);
	world.prepare_result = 3 * (int)MSEC;
	advance(&world, 250 * MSEC);
	expect_log(&world, "backing off prepare backing off ");
	advance(&world, 3 * MSEC);
	expect_log(&world, "prepare backing off ");
	world.prepare_result = 0;
	advance(&world, 3 * MSEC);
	expect_log(&world, "prepare spawn starting ");
	cr_expect_eq(world.pause, 250 * MSEC, "that was no pause of its own");
	fake_exit(&world, CLD_EXITED, 1);
	cr_expect_eq(world.pause, 500 * MSEC);
}

Test(proc, waits_for_nothing_any_more_when_it_is_to_stop)
{
	struct world world;

	world_up(&world);
	world.prepare_result = (int)MSEC;
	fake_exit(&world, CLD_EXITED, 1);
	advance(&world, 300 * MSEC);
	world.log[0] = '\0';
	proc_event(&world.proc, PROC_EV_STOP);
	advance(&world, 10 * SECOND);
	expect_log(&world, "down ");
}

Test(proc, ends_what_has_failed_soon_and_starts_it_as_after_a_crash)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_LOST);
	proc_event(&world.proc, PROC_EV_FAIL);
	expect_log(&world, "failing TERM ending ");
	advance(&world, 250 * MSEC);
	expect_log(&world, "TERM ");
	advance(&world, PROC_END_USEC - 1);
	expect_log(&world, "");
	advance(&world, 1);
	expect_log(&world, "KILL ");
	proc_event(&world.proc, PROC_EV_FAIL);
	expect_log(&world, "");
	fake_exit(&world, CLD_KILLED, SIGKILL);
	expect_log(&world, "backing off ");
	cr_expect_eq(world.pause, 250 * MSEC);
}

Test(proc, stays_down_when_it_is_to_stop_while_it_is_made_to_end)
{
	struct world world;

	world_up(&world);
	proc_event(&world.proc, PROC_EV_FAIL);
	proc_event(&world.proc, PROC_EV_STOP);
	advance(&world, 30 * SECOND);
	expect_log(&world, "TERM ending stopping TERM KILL ");
	fake_exit(&world, CLD_KILLED, SIGKILL);
	expect_log(&world, "down ");
}

Test(proc, has_no_pause_longer_than_the_longest)
{
	struct world world;

	world_up(&world);
	world.proc.backoff.delay_usec = 5 * SECOND;
	fake_exit(&world, CLD_EXITED, 1);
	cr_expect_eq(world.due - world.now, SECOND);
}

Test(proc, has_no_pause_where_none_is_wanted)
{
	struct world world;

	world_up(&world);
	world.proc.backoff.delay_usec = 0;
	for (int i = 0; i < 5; i++) {
		fake_exit(&world, CLD_EXITED, 1);
		cr_expect_eq(world.due, world.now);
		advance(&world, 0);
	}
}

Test(proc, lets_what_does_not_serve_live)
{
	struct world world;

	world_init(&world);
	proc_event(&world.proc, PROC_EV_START);
	advance(&world, 100000 * SECOND);
	expect_log(&world, "prepare spawn starting ");
	proc_event(&world.proc, PROC_EV_READY);
	proc_event(&world.proc, PROC_EV_LOST);
	advance(&world, 100000 * SECOND);
	proc_event(&world.proc, PROC_EV_LOST);
	expect_log(&world, "ready failing ");
	proc_event(&world.proc, PROC_EV_READY);
	expect_log(&world, "ready ");
}

Test(proc, tries_again_later_what_could_not_be_started)
{
	struct world world;

	world_init(&world);
	world.spawn_result = -ENOENT;
	proc_event(&world.proc, PROC_EV_START);
	expect_log(&world, "prepare spawn start fake: No such file or directory backing off ");
	world.prepare_result = -ENOSPC;
	advance(&world, 250 * MSEC);
	expect_log(&world, "prepare write file: No space left on device backing off ");
	world.spawn_result = world.prepare_result = 0;
	advance(&world, 500 * MSEC);
	expect_log(&world, "prepare spawn starting ");
	cr_expect_eq(world.proc.process->starts, 1);
}

Test(proc, says_that_a_signal_could_not_be_sent)
{
	struct world world;

	world_up(&world);
	world.signal_result = -EPERM;
	proc_event(&world.proc, PROC_EV_STOP);
	expect_log(&world, "TERM send TERM to fake: Operation not permitted stopping ");
	world.signal_result = -ESRCH;
	advance(&world, 60 * SECOND);
	expect_log(&world, "KILL ");
}

Test(proc, describes_every_kind_of_end)
{
	struct world world;

	world_up(&world);
	fake_exit(&world, CLD_EXITED, 70);
	cr_expect_str_eq(world.proc.last_exit_text, "exited with status 70");
	advance(&world, SECOND);
	fake_exit(&world, CLD_DUMPED, SIGSEGV);
	cr_expect_str_eq(world.proc.last_exit_text,
			 "was killed by signal 11 (Segmentation fault) and dumped core");
	advance(&world, SECOND);
	fake_exit(&world, CLD_KILLED, 63);
	cr_expect_str_eq(world.proc.last_exit_text, "was killed by signal 63 (unknown)");
}

/* From here on with real processes. */
struct real {
	struct proc proc;
	struct carried_process process;
	sd_event *event;
	const char *script;
	enum proc_state until; /* the loop ends in this state */
	bool restarted;
};

static int real_prepare(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata)
{
	static const char *const no_environ[] = { "PATH=/usr/bin:/bin", NULL };
	static const char *argv[] = { "/bin/sh", "-c", NULL, NULL };
	static gid_t groups[64];
	struct real *real = userdata;

	(void)proc;
	(void)err;
	argv[2] = real->script;
	*ret = (struct exec_spec){
		.name = "child",
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
	};
	return 0;
}

static void real_changed(struct proc *proc, void *userdata)
{
	struct real *real = userdata;

	real->restarted = real->restarted || proc->process->starts > 1;
	if (proc->state == real->until)
		(void)sd_event_exit(real->event, 0);
}

static void real_failed(struct proc *proc, const struct error *err, void *userdata)
{
	(void)proc;
	(void)userdata;
	cr_assert_fail("%s", err->text);
}

static void real_waits(struct proc *proc, uint64_t pause_usec, void *userdata)
{
	(void)proc;
	(void)userdata;
	cr_expect_leq(pause_usec, MSEC);
}

static const struct proc_owner real_owner = { real_prepare, real_waits, fake_ended, real_changed,
					      real_failed };

static void real_init(struct real *real, const char *script)
{
	struct error err = { 0 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	*real = (struct real){ .script = script };
	cr_assert_geq(sd_event_new(&real->event), 0);
	real->proc = (struct proc){
		.name = "child",
		.event = real->event,
		.owner = &real_owner,
		.userdata = real,
		.process = &real->process,
		.backoff = { .delay_usec = MSEC, .max_usec = MSEC },
	};
	cr_assert_eq(proc_init(&real->proc, &err), 0, "%s", err.text);
}

static void real_done(struct real *real)
{
	proc_done(&real->proc);
	real->event = sd_event_unref(real->event);
	cr_expect(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a process is left");
}

static void run_until(struct real *real, enum proc_state state)
{
	real->until = state;
	(void)sd_event_add_time_relative(real->event, NULL, CLOCK_MONOTONIC, 10 * SECOND, 0, NULL,
					 (void *)(intptr_t)-ETIMEDOUT);
	cr_assert_geq(sd_event_loop(real->event), 0);
	cr_expect_eq(real->proc.state, state);
}

Test(proc, sees_the_end_of_a_real_process)
{
	struct real real;

	real_init(&real, "exit 3");
	proc_event(&real.proc, PROC_EV_START);
	cr_expect_gt(real.proc.process->pid, 1);
	run_until(&real, PROC_BACKOFF);
	cr_expect_str_eq(real.proc.last_exit_text, "exited with status 3");
	cr_expect_eq(real.proc.process->pid, 0);
	real_done(&real);
}

Test(proc, starts_a_real_process_again_from_the_callback_of_its_end)
{
	struct real real;

	real_init(&real, "exec sleep 30");
	proc_event(&real.proc, PROC_EV_START);
	proc_event(&real.proc, PROC_EV_RESTART);
	cr_expect_eq(real.proc.state, PROC_RESTARTING);
	run_until(&real, PROC_STARTING);
	cr_expect(real.restarted);
	cr_expect_str_eq(real.proc.last_exit_text, "was killed by signal 15 (Terminated)");
	cr_expect_gt(real.proc.process->pid, 1);
	real_done(&real);
}

Test(proc, ends_a_real_drain_with_the_second_signal)
{
	struct real real;
	struct timespec before, after;

	/* Like kuma-dp: the first SIGTERM begins a drain of 30 s, the second ends it. */
	real_init(&real,
		  "n=0; trap 'n=$((n+1))' TERM; while [ $n -lt 2 ]; do sleep 0.05; done; exit 5");
	real.proc.drain_usec = 30 * SECOND;
	proc_event(&real.proc, PROC_EV_START);
	(void)usleep(300000);
	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	proc_event(&real.proc, PROC_EV_STOP);
	proc_event(&real.proc, PROC_EV_HURRY);
	run_until(&real, PROC_DOWN);
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	cr_expect_lt(after.tv_sec - before.tv_sec, 5);
	cr_expect_str_eq(real.proc.last_exit_text, "exited with status 5");
	real_done(&real);
}

Test(proc, leaves_no_process_behind_when_it_is_done)
{
	struct pollfd ended = { .events = POLLIN };
	struct real real;

	real_init(&real, "trap '' TERM; while :; do sleep 1; done");
	proc_event(&real.proc, PROC_EV_START);
	ended.fd = pidfd_open(real.proc.process->pid, 0);
	cr_assert_geq(ended.fd, 0);
	real_done(&real);
	cr_expect_eq(poll(&ended, 1, 0), 1);
	(void)close(ended.fd);
}
