/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One supervised child: does what common/supervise/proc_fsm.h decides. This is the only place that
 * arms a child's timers and sends it signals, and it does the latter through a pidfd only, so that
 * no number that has changed hands is ever hit.
 *
 * Whoever owns it says what to start (prepare), and is told of every change of state. SIGCHLD must
 * be blocked. Ends are seen at priority -10: what has ended is known to be dead before anything
 * else can signal it.
 */

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "common/base/error.h"
#include "common/supervise/backoff.h"
#include "common/supervise/carry.h"
#include "common/supervise/handover.h"
#include "common/supervise/proc_fsm.h"
#include "common/supervise/situation.h"
#include "daemon/process/spawn.h"

#define PROC_PRIORITY_EXIT (-10)

/* A process that does not end after SIGTERM (and the drain it was given time for) is killed. */
#define PROC_KILL_USEC (10 * 1000000ULL)

/* Between the first SIGTERM and the one that ends the drain: sent at once the second would merge
 * with a first one that is still pending, and the drain would go on to its end. */
#define PROC_TERM_GAP_USEC 250000ULL

/* A process that has failed has this long to end after the second SIGTERM. One that was stopped
 * (SIGSTOP) hears neither. */
#define PROC_END_USEC (1 * 1000000ULL)

/* One that has served for so long is stable: the pauses before it is started again begin anew. */
#define PROC_STABLE_USEC (60 * 1000000ULL)

struct proc;

struct proc_owner {
	/* Before each start: writes the child's files and says what to execute. What ret points to
	 * must last until the call that starts it returns. Returns 0, a negative errno, or the
	 * microseconds after which to ask again, because something has to end first. */
	int (*prepare)(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata);
	/* It is going to be started again, after a pause. */
	void (*waits)(struct proc *proc, uint64_t pause_usec, void *userdata);
	/* Its process has ended; the state changes next. */
	void (*ended)(struct proc *proc, const siginfo_t *si, void *userdata);
	/* After each change of state; may call the functions below. */
	void (*changed)(struct proc *proc, void *userdata);
	/* Something could not be done: a start (a further one follows after the backoff) or a
	 * signal. */
	void (*failed)(struct proc *proc, const struct error *err, void *userdata);
};

/* What a test replaces. */
struct proc_ops {
	int (*spawn)(struct proc *proc, const struct exec_spec *spec, struct error *err);
	int (*signal)(struct proc *proc, int sig);           /* negative errno */
	void (*arm)(struct proc *proc, uint64_t delay_usec); /* USEC_NEVER: disarm */
	uint64_t (*now)(struct proc *proc);                  /* CLOCK_MONOTONIC */
	uint32_t (*random)(struct proc *proc);
	/* Watches the process that there is: one that a predecessor has started. */
	int (*adopt)(struct proc *proc, struct error *err);
};

enum proc_term {
	PROC_TERM_NONE,
	PROC_TERM_SENT,  /* the first SIGTERM */
	PROC_TERM_DUE,   /* the second follows when the gap is over */
	PROC_TERM_TWICE, /* the second one, which ends a drain */
};

struct proc {
	/* Set by the owner before proc_init(), and kept. */
	const char *name;           /* "kuma-dp" */
	sd_event *event;            /* with ops of its own it may be NULL */
	const struct proc_ops *ops; /* NULL: the real ones */
	const struct proc_owner *owner;
	void *userdata;
	struct carried_process *process; /* where its pid and start are written */
	/* Settings: they may be changed at any time and count from the next time they are used. */
	uint64_t drain_usec; /* how long the child drains after SIGTERM */
	struct backoff backoff;
	/* CLOCK_MONOTONIC: when the next start is due, in place of the next pause; 0: after that pause */
	uint64_t start_usec;

	/* to be read */
	enum proc_state state;
	char last_exit_text[SPAWN_END_MAX];
	uint64_t last_exit_usec; /* CLOCK_MONOTONIC; 0: none has ended */
	pid_t last_pid;          /* of the last one that has ended; 0: none */
	uint64_t due_usec;       /* while backing off: when the next one is started */
	uint64_t timer_usec;     /* when the state's timer fires; USEC_NEVER, or 0: never */

	/* proc.c's own */
	uint64_t ready_usec; /* since when it has served; 0: it does not */
	uint64_t again_usec; /* the pause that prepare asked for; 0: none */
	enum proc_term term;
	uint64_t term_usec;
	sd_event_source *child, *timer;
};

/* On caller's storage, which must stay where it is. */
int proc_init(struct proc *proc, struct error *err) _must_check_;

/* Ends a process that is still there with SIGKILL and waits for it. */
void proc_done(struct proc *proc);

/* What the owner wants or knows; ends and timeouts are for the next two. */
void proc_event(struct proc *proc, enum proc_event event);

/* What a successor of this daemon has to know besides proc->process; and the successor, after
 * proc_init() with proc->process known: takes it, then the process that is there (our child still) and
 * the timer that runs. Where that fails the process is left alone. */
void proc_add_facts(const struct proc *proc, const char *prefix, struct strbuf *out);
int proc_take_facts(struct proc *proc, const char *prefix, struct handover *handover,
		    struct error *err) _must_check_;
int proc_resume(struct proc *proc, struct error *err) _must_check_;

/* What the event loop, or a test in its place, has seen. */
void proc_exited(struct proc *proc, const siginfo_t *si);
void proc_timeout(struct proc *proc);
