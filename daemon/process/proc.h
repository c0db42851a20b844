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
#include "common/supervise/proc_fsm.h"
#include "common/supervise/situation.h"
#include "daemon/process/spawn.h"

#define PROC_PRIORITY_EXIT (-10)

/* A process that does not end after SIGTERM (and the drain it was given time for) is killed. */
#define PROC_KILL_USEC (10 * 1000000ULL)

/* Between the first SIGTERM and the one that ends the drain: sent at once the second would merge
 * with a first one that is still pending, and the drain would go on to its end. */
#define PROC_TERM_GAP_USEC 250000ULL

struct proc;

struct proc_owner {
	/* Before each start: writes the child's files and says what to execute. What ret points to
	 * must last until the call that starts it returns. */
	int (*prepare)(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata);
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
};

enum proc_term {
	PROC_TERM_NONE,
	PROC_TERM_SENT,  /* the first SIGTERM */
	PROC_TERM_DUE,   /* the second follows when the gap is over */
	PROC_TERM_TWICE, /* the second one, which ends a drain */
};

/* Fields without a comment are proc.c's own; the commented ones may be read. The settings may be
 * changed at any time and count from the next time they are used. */
struct proc {
	const char *name;       /* "kuma-dp" */
	uint64_t start_usec;    /* setting: STARTING at most this long; USEC_NEVER: no limit */
	uint64_t grace_usec;    /* setting: FAILING at most this long */
	uint64_t drain_usec;    /* setting: how long the child drains after SIGTERM */
	struct backoff backoff; /* setting: pauses between starts */

	enum proc_state state;   /* the state it is in */
	pid_t pid;               /* 0: no process */
	uint64_t started_usec;   /* CLOCK_MONOTONIC; of the process there is, or the last one */
	unsigned starts;         /* how often a process was started */
	siginfo_t last_exit;     /* si_pid is 0 as long as none has ended */
	char last_exit_text[96]; /* "exited with status 1", "was killed by signal 9 (Killed)" */

	const struct proc_ops *ops;
	const struct proc_owner *owner;
	void *userdata;
	enum proc_term term;
	uint64_t term_usec;
	sd_event *event;
	sd_event_source *child, *timer;
};

/* On caller's storage, which must stay where it is. event is borrowed for good; ops NULL: the real
 * ones (else event may be NULL). The name, the owner and the userdata are kept. */
int proc_init(struct proc *proc, sd_event *event, const char *name, const struct proc_ops *ops,
	      const struct proc_owner *owner, void *userdata, struct error *err) _must_check_;

/* Ends a process that is still there with SIGKILL and waits for it. */
void proc_done(struct proc *proc);

/* What the owner wants or knows; see enum proc_event. */
void proc_start(struct proc *proc);
void proc_stop(struct proc *proc);
void proc_restart(struct proc *proc);
void proc_ready(struct proc *proc);
void proc_lost(struct proc *proc);
void proc_drained(struct proc *proc);
void proc_hurry(struct proc *proc);

/* What the event loop, or a test in its place, has seen. */
void proc_exited(struct proc *proc, const siginfo_t *si);
void proc_timeout(struct proc *proc);

/* "exited with status 1", "was killed by signal 9 (Killed)". */
void proc_exit_print(const siginfo_t *si, char *ret, size_t size);
