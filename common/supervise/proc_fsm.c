/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/proc_fsm.h"

#include "common/base/attr.h"

/* clang-format off */
static const struct proc_step table[PROC_STATE_COUNT][PROC_EVENT_COUNT] = {
	[PROC_DOWN] = {
		[PROC_EV_START]   = { PROC_STARTING,   PROC_SPAWN },
		[PROC_EV_RESTART] = { PROC_STARTING,   PROC_SPAWN },
	},
	[PROC_STARTING] = {
		[PROC_EV_STOP]    = { PROC_STOPPING,   PROC_TERM },
		[PROC_EV_RESTART] = { PROC_RESTARTING, PROC_TERM },
		[PROC_EV_READY]   = { PROC_READY,      PROC_IGNORE },
		[PROC_EV_FAIL]    = { PROC_ENDING,     PROC_END },
		[PROC_EV_EXIT]    = { PROC_BACKOFF,    PROC_WAIT },
	},
	[PROC_READY] = {
		[PROC_EV_STOP]    = { PROC_STOPPING,   PROC_TERM },
		[PROC_EV_RESTART] = { PROC_RESTARTING, PROC_TERM },
		[PROC_EV_LOST]    = { PROC_FAILING,    PROC_IGNORE },
		[PROC_EV_FAIL]    = { PROC_ENDING,     PROC_END },
		[PROC_EV_EXIT]    = { PROC_BACKOFF,    PROC_WAIT },
	},
	[PROC_FAILING] = {
		[PROC_EV_STOP]    = { PROC_STOPPING,   PROC_TERM },
		[PROC_EV_RESTART] = { PROC_RESTARTING, PROC_TERM },
		[PROC_EV_READY]   = { PROC_READY,      PROC_IGNORE },
		[PROC_EV_FAIL]    = { PROC_ENDING,     PROC_END },
		[PROC_EV_EXIT]    = { PROC_BACKOFF,    PROC_WAIT },
	},
	[PROC_STOPPING] = {
		[PROC_EV_START]   = { PROC_RESTARTING, PROC_IGNORE },
		[PROC_EV_RESTART] = { PROC_RESTARTING, PROC_IGNORE },
		[PROC_EV_EXIT]    = { PROC_DOWN,       PROC_SETTLE },
		[PROC_EV_TIMEOUT] = { PROC_STOPPING,   PROC_KILL },
		[PROC_EV_HURRY]   = { PROC_STOPPING,   PROC_TERM_NOW },
	},
	[PROC_RESTARTING] = {
		[PROC_EV_STOP]    = { PROC_STOPPING,   PROC_IGNORE },
		[PROC_EV_EXIT]    = { PROC_STARTING,   PROC_SPAWN },
		[PROC_EV_TIMEOUT] = { PROC_RESTARTING, PROC_KILL },
		[PROC_EV_HURRY]   = { PROC_RESTARTING, PROC_TERM_NOW },
	},
	[PROC_ENDING] = {
		[PROC_EV_STOP]    = { PROC_STOPPING,   PROC_IGNORE },
		[PROC_EV_RESTART] = { PROC_RESTARTING, PROC_IGNORE },
		[PROC_EV_EXIT]    = { PROC_BACKOFF,    PROC_WAIT },
		[PROC_EV_TIMEOUT] = { PROC_ENDING,     PROC_KILL },
		[PROC_EV_HURRY]   = { PROC_ENDING,     PROC_TERM_NOW },
	},
	[PROC_BACKOFF] = {
		[PROC_EV_START]   = { PROC_STARTING,   PROC_SPAWN },
		[PROC_EV_STOP]    = { PROC_DOWN,       PROC_SETTLE },
		[PROC_EV_RESTART] = { PROC_STARTING,   PROC_SPAWN },
		[PROC_EV_TIMEOUT] = { PROC_STARTING,   PROC_SPAWN },
	},
};
/* clang-format on */

struct proc_step proc_step(enum proc_state state, enum proc_event event)
{
	struct proc_step step = table[state][event];

	/* Requests and probe results may come at any time; an end and a timer have a cause. */
	if (step.action == PROC_UNREACHABLE && event != PROC_EV_EXIT && event != PROC_EV_TIMEOUT)
		return (struct proc_step){ state, PROC_IGNORE };
	return step;
}

const char *proc_state_name(enum proc_state state)
{
	static const char *const names[] = {
		[PROC_DOWN] = "down",         [PROC_STARTING] = "starting",
		[PROC_READY] = "ready",       [PROC_FAILING] = "failing",
		[PROC_STOPPING] = "stopping", [PROC_RESTARTING] = "restarting",
		[PROC_ENDING] = "ending",     [PROC_BACKOFF] = "backing off",
	};

	return state < ELEMENTS(names) ? names[state] : "unknown";
}
