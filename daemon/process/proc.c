/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/proc.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/os/fd.h"
#include "daemon/process/procfs.h"

static int on_exit_seen(_unused_ sd_event_source *source, const siginfo_t *si, void *userdata)
{
	proc_exited(userdata, si);
	return 0;
}

static int on_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	proc_timeout(userdata);
	return 0;
}

/* Takes the process and its descriptor over: whatever ends us later, it does not stay behind. Where that
 * fails both are as they were. */
static int watch_child(struct proc *proc, int pidfd, struct error *err)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_child_pidfd(proc->event, &source, pidfd, WEXITED, on_exit_seen, proc);

	if (r >= 0)
		r = sd_event_source_set_priority(source, PROC_PRIORITY_EXIT);
	if (r < 0) {
		(void)sd_event_source_disable_unref(source);
		return error_sys(err, r, "watch %s", proc->name);
	}
	(void)sd_event_source_set_child_pidfd_own(source, 1);
	(void)sd_event_source_set_child_process_own(source, 1);
	(void)sd_event_source_set_description(source, proc->name);
	proc->child = source;
	return 0;
}

static void end_unwatched(int pidfd)
{
	siginfo_t si;

	(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	(void)waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED);
	(void)close(pidfd);
}

static int system_spawn(struct proc *proc, const struct exec_spec *spec, struct error *err)
{
	struct process process;
	pid_t pid;
	int pidfd, r = spawn(spec, &pid, &pidfd, err);

	if (r < 0)
		return r;
	r = watch_child(proc, pidfd, err);
	if (r < 0) {
		end_unwatched(pidfd);
		return r;
	}
	proc->process->pid = pid;
	/* Only a successor asks for it: where it cannot be read, 0 says so. */
	proc->process->start_ticks = process_read(pid, &process) < 0 ? 0 : process.start_ticks;
	return 0;
}

/* The number is its own still: nobody else can have reaped it. Where it cannot be watched, the one that has
 * started it may go on with it; if not, it ends with us. */
static int system_adopt(struct proc *proc, struct error *err)
{
	_close_ int pidfd = pidfd_open(proc->process->pid, 0);
	int r;

	if (pidfd < 0)
		return error_sys(err, -errno, "open a pidfd of %s", proc->name);
	r = watch_child(proc, pidfd, err);
	if (r >= 0)
		(void)take_fd(&pidfd);
	return r;
}

static int system_signal(struct proc *proc, int sig)
{
	return proc->child ? sd_event_source_send_child_signal(proc->child, sig, NULL, 0) : -ESRCH;
}

static uint64_t system_now(struct proc *proc)
{
	uint64_t usec = 0;

	(void)sd_event_now(proc->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

/* None of these calls allocates, and the arguments are right: they do not fail. What is longer than
 * the clock can count never comes. */
static void system_arm(struct proc *proc, uint64_t delay_usec)
{
	bool never = delay_usec > USEC_NEVER / 2;

	(void)sd_event_source_set_time_relative(proc->timer, never ? 0 : delay_usec);
	(void)sd_event_source_set_enabled(proc->timer, never ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* Before the kernel has gathered enough for random numbers, nobody else has a proxy either. */
static uint32_t system_random(_unused_ struct proc *proc)
{
	uint32_t number = 0;

	(void)!getrandom(&number, sizeof(number), GRND_NONBLOCK);
	return number;
}

static const struct proc_ops system_ops = {
	.spawn = system_spawn,
	.adopt = system_adopt,
	.signal = system_signal,
	.arm = system_arm,
	.now = system_now,
	.random = system_random,
};

static void arm_timer(struct proc *proc, uint64_t delay_usec)
{
	uint64_t now = proc->ops->now(proc);

	proc->timer_usec = delay_usec < USEC_NEVER / 2 ? now + delay_usec : USEC_NEVER;
	proc->ops->arm(proc, delay_usec);
}

static void send(struct proc *proc, int sig)
{
	struct error err;
	int r = proc->ops->signal(proc, sig);

	/* It has ended, and we have not been told yet. */
	if (r >= 0 || r == -ESRCH)
		return;
	(void)error_sys(&err, r, "send %s to %s", sigabbrev_np(sig), proc->name);
	proc->owner->failed(proc, &err, proc->userdata);
}

/* Returns what follows at once: the end of a process that did not start, or may not yet. */
static enum proc_event do_spawn(struct proc *proc)
{
	struct exec_spec spec = { 0 };
	struct error err = { 0 };
	int r;

	proc->term = PROC_TERM_NONE;
	arm_timer(proc, USEC_NEVER);
	r = proc->owner->prepare(proc, &spec, &err, proc->userdata);
	if (r > 0) {
		proc->again_usec = (uint64_t)r;
		return PROC_EV_EXIT;
	}
	if (r < 0 || proc->ops->spawn(proc, &spec, &err) < 0) {
		proc->owner->failed(proc, &err, proc->userdata);
		return PROC_EV_EXIT;
	}
	proc->process->started_usec = proc->ops->now(proc);
	proc->process->starts++;
	return PROC_EVENT_COUNT;
}

static void do_term(struct proc *proc)
{
	proc->term = PROC_TERM_SENT;
	proc->term_usec = proc->ops->now(proc);
	arm_timer(proc, proc->drain_usec < USEC_NEVER / 2 ? proc->drain_usec + PROC_KILL_USEC
							  : USEC_NEVER);
	send(proc, SIGTERM);
}

static void do_end(struct proc *proc)
{
	proc->term = PROC_TERM_DUE;
	proc->term_usec = proc->ops->now(proc);
	arm_timer(proc, PROC_TERM_GAP_USEC);
	send(proc, SIGTERM);
}

static void end_drain(struct proc *proc, bool arm)
{
	proc->term = PROC_TERM_TWICE;
	if (arm)
		arm_timer(proc, proc->state == PROC_ENDING ? PROC_END_USEC : PROC_KILL_USEC);
	send(proc, SIGTERM);
}

/* A third SIGTERM would make kuma-dp leave at once, without the end of its children: the second
 * one is sent once, however often it is asked for. */
static void do_term_now(struct proc *proc)
{
	uint64_t since = proc->ops->now(proc) - proc->term_usec;

	if (proc->term != PROC_TERM_SENT)
		return;
	if (since < PROC_TERM_GAP_USEC) {
		proc->term = PROC_TERM_DUE;
		arm_timer(proc, PROC_TERM_GAP_USEC - since);
		return;
	}
	/* Shortened only, or asking again and again would keep a hung process alive. */
	end_drain(proc, since < proc->drain_usec);
}

static uint64_t next_pause(struct proc *proc, uint64_t now)
{
	uint64_t start = proc->start_usec;

	proc->start_usec = 0;
	if (start == 0)
		return backoff_next(&proc->backoff, proc->ops->random(proc));
	return start > now ? start - now : 0;
}

static void do_wait(struct proc *proc)
{
	uint64_t now = proc->ops->now(proc), pause = proc->again_usec;

	if (pause == 0) {
		pause = next_pause(proc, now);
		proc->owner->waits(proc, pause, proc->userdata);
	}
	proc->again_usec = 0;
	proc->due_usec = now + pause;
	arm_timer(proc, pause);
}

/* Returns the event that follows at once, or PROC_EVENT_COUNT. */
static enum proc_event perform(struct proc *proc, enum proc_action action)
{
	switch (action) {
	case PROC_SPAWN:
		return do_spawn(proc);
	case PROC_TERM:
		do_term(proc);
		break;
	case PROC_TERM_NOW:
		do_term_now(proc);
		break;
	case PROC_END:
		do_end(proc);
		break;
	case PROC_KILL:
		send(proc, SIGKILL);
		break;
	case PROC_WAIT:
		do_wait(proc);
		break;
	case PROC_SETTLE:
		arm_timer(proc, USEC_NEVER);
		break;
	case PROC_IGNORE:
	case PROC_UNREACHABLE:
		break;
	}
	return PROC_EVENT_COUNT;
}

/* What is stable is known at the end of it: nothing wakes us for it. */
static void note_service(struct proc *proc, enum proc_state next)
{
	uint64_t now = proc->ops->now(proc);

	if (next == PROC_READY) {
		proc->ready_usec = now;
		return;
	}
	if (proc->ready_usec && now - proc->ready_usec >= PROC_STABLE_USEC)
		backoff_reset(&proc->backoff);
	proc->ready_usec = 0;
}

void proc_event(struct proc *proc, enum proc_event event)
{
	enum proc_state before = proc->state;

	while (event != PROC_EVENT_COUNT) {
		struct proc_step step = proc_step(proc->state, event);

		assert(step.action != PROC_UNREACHABLE);
		before = proc->state;
		proc->state = step.next;
		if (step.next != before)
			note_service(proc, step.next);
		event = perform(proc, step.action);
	}
	if (proc->state != before)
		proc->owner->changed(proc, proc->userdata);
}

void proc_exited(struct proc *proc, const siginfo_t *si)
{
	spawn_describe_end(si, proc->last_exit_text);
	proc->last_exit_usec = proc->ops->now(proc);
	proc->last_pid = proc->process->pid;
	proc->process->pid = 0;
	proc->term = PROC_TERM_NONE;
	proc->owner->ended(proc, si, proc->userdata);
	/* The event loop reaps it after the callback that called us. */
	proc->child = sd_event_source_disable_unref(proc->child);
	proc_event(proc, PROC_EV_EXIT);
}

void proc_timeout(struct proc *proc)
{
	proc->timer_usec = USEC_NEVER;
	if (proc->term == PROC_TERM_DUE)
		end_drain(proc, true);
	else
		proc_event(proc, PROC_EV_TIMEOUT);
}

#define FACT(name, field, max) HANDOVER_NUMBER(name, proc, field, max)

/* clang-format off */
static const struct handover_fact facts[] = {
	FACT("state",          state,             PROC_STATE_COUNT - 1),
	FACT("drain-usec",     drain_usec,        UINT64_MAX),
	FACT("pause-usec",     backoff.next_usec, UINT64_MAX),
	FACT("start-usec",     start_usec,        UINT64_MAX),
	FACT("last-exit-usec", last_exit_usec,    UINT64_MAX),
	FACT("last-pid",       last_pid,          INT_MAX),
	FACT("due-usec",       due_usec,          UINT64_MAX),
	FACT("timer-usec",     timer_usec,        UINT64_MAX),
	FACT("ready-usec",     ready_usec,        UINT64_MAX),
	FACT("again-usec",     again_usec,        UINT64_MAX),
	FACT("term",           term,              PROC_TERM_TWICE),
	FACT("term-usec",      term_usec,         UINT64_MAX),
	HANDOVER_TEXT("last-exit", proc, last_exit_text),
};
/* clang-format on */

static const struct handover_table table = { facts, ELEMENTS(facts) };

void proc_add_facts(const struct proc *proc, const char *prefix, struct strbuf *out)
{
	handover_add_facts(out, prefix, &table, proc);
}

/* A process that must be there, or must not. */
static bool has_process(enum proc_state state)
{
	return state != PROC_DOWN && state != PROC_BACKOFF;
}

int proc_take_facts(struct proc *proc, const char *prefix, struct handover *handover,
		    struct error *err)
{
	int r = handover_take_facts(handover, prefix, &table, proc, err);

	if (r == 0 && has_process(proc->state) != (proc->process->pid > 0))
		return error_set(err, -EBADMSG, "the state says that %s is %s, and process %d",
				 proc->name, proc_state_name(proc->state), (int)proc->process->pid);
	return r;
}

int proc_resume(struct proc *proc, struct error *err)
{
	uint64_t now = proc->ops->now(proc), due = proc->timer_usec;
	int r = proc->process->pid > 0 ? proc->ops->adopt(proc, err) : 0;

	if (r == 0 && due != 0 && due != USEC_NEVER)
		arm_timer(proc, due > now ? due - now : 0);
	return r;
}

int proc_init(struct proc *proc, struct error *err)
{
	int r;

	if (proc->ops)
		return 0;
	proc->ops = &system_ops;
	r = sd_event_add_time(proc->event, &proc->timer, CLOCK_MONOTONIC, USEC_NEVER, 1000,
			      on_timer, proc);
	if (r >= 0)
		r = sd_event_source_set_enabled(proc->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_description(proc->timer, proc->name);
	if (r < 0) {
		proc_done(proc);
		return error_sys(err, r, "make a timer for %s", proc->name);
	}
	return 0;
}

void proc_done(struct proc *proc)
{
	proc->timer = sd_event_source_disable_unref(proc->timer);
	/* The source owns the process: it kills and reaps it. */
	proc->child = sd_event_source_disable_unref(proc->child);
	proc->process->pid = 0;
}
