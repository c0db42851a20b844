/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The life of one child process. Desire is part of the state (STOPPING stays down, RESTARTING comes
 * back), so there is one variable and no flags. Two kinds of "up" exist because a process that was
 * started does not serve yet, and one that serves may cease to. Neither is ended for it here: the
 * situation knows how long that may last, and FAIL then treats it as a crash.
 *
 * STOPPING and RESTARTING drain: the first SIGTERM asks kuma-dp to drain, and it then sleeps its
 * whole drain time; HURRY sends the second SIGTERM, which ends the drain; the timer sends SIGKILL.
 * Going from one of the two states to the other keeps the running timer, or somebody who toggles
 * start and stop would keep a hung process alive for ever. ENDING drains nothing: both SIGTERMs and
 * the SIGKILL follow soon, since a process that hangs may hear none but the last.
 */

enum proc_state {
	PROC_DOWN,       /* no process, none wanted */
	PROC_STARTING,   /* process alive, not serving yet */
	PROC_READY,      /* process alive and serving */
	PROC_FAILING,    /* alive, no longer serving */
	PROC_STOPPING,   /* asked to exit; stays down afterwards */
	PROC_RESTARTING, /* asked to exit; comes back afterwards */
	PROC_ENDING,     /* has failed and is made to exit; comes back as after a crash */
	PROC_BACKOFF,    /* no process; one is due when the timer fires */
	PROC_STATE_COUNT,
};

enum proc_event {
	PROC_EV_START,
	PROC_EV_STOP,
	PROC_EV_RESTART,
	PROC_EV_READY,   /* the probe succeeded */
	PROC_EV_LOST,    /* the probe failed */
	PROC_EV_FAIL,    /* it has not served for too long */
	PROC_EV_EXIT,    /* reaped */
	PROC_EV_TIMEOUT, /* the state's timer fired */
	PROC_EV_HURRY,   /* no redirected connection is left, or a second request to stop */
	PROC_EVENT_COUNT,
};

enum proc_action {
	PROC_UNREACHABLE, /* a cell that nobody wrote: the event cannot happen here */
	PROC_IGNORE,      /* timers go on as they are */
	PROC_SPAWN,
	PROC_TERM,     /* first SIGTERM; arms the kill timer */
	PROC_TERM_NOW, /* another SIGTERM, which ends a drain; the kill timer is shortened */
	PROC_END,      /* first SIGTERM, the second one soon; arms a kill timer that is short */
	PROC_KILL,     /* SIGKILL */
	PROC_WAIT,     /* arm the backoff timer */
	PROC_SETTLE,   /* disarm the timer */
};

struct proc_step {
	enum proc_state next;
	enum proc_action action;
};

/* What to do when event happens in state. */
struct proc_step proc_step(enum proc_state state, enum proc_event event);

const char *proc_state_name(enum proc_state state);
