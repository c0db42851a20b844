/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Stopping: rules to DRAIN, SIGTERM to kuma-dp alone, its drain; then NONE, our own coredns, the
 * sweep, and the end of the loop.
 */

#include <stdlib.h>

#include "daemon/loop/state.h"
#include "daemon/loop/stored.h"
#include "daemon/operator/log.h"

#define CORE_DNS_USEC ((uint64_t)300 * 1000)       /* for our coredns to end by itself */
#define BUSY_USEC     ((uint64_t)10 * 1000 * 1000) /* for others to let go of the rules */
#define FAILED_USEC   ((uint64_t)2 * 1000 * 1000)  /* for a failure to go away */

void daemon_stop(struct daemon *d)
{
	if (situation_of(d)->wish == WISH_STOP) {
		log_info("Asked to stop again: not waiting for open connections");
		d->stop.again = true;
		proc_event(proc_of(d, CHILD_KUMA_DP), PROC_EV_HURRY);
	} else {
		bool kept = daemon_is_stored(d) && d->ops->starts_again();

		log_info(kept ? "Stopping, to be started again: the rules stay" : "Stopping");
		daemon_wish_stop(d, kept);
	}
	d->ops->wake(d);
}

static void ask_kuma_dp(struct daemon *d)
{
	d->stop.asked = true;
	daemon_drain(d);
	proc_event(proc_of(d, CHILD_KUMA_DP), PROC_EV_STOP);
	if (d->stop.again)
		proc_event(proc_of(d, CHILD_KUMA_DP), PROC_EV_HURRY);
}

/* Whether the sweep is over. */
static bool swept(struct daemon *d)
{
	uint64_t now = situation_of(d)->now_usec;
	int pause;

	if (now < d->stop.sweep_usec)
		return false;
	pause = daemon_sweep(d, 0, &d->stop.sweeps);
	d->stop.sweep_usec = now + (uint64_t)pause;
	if (pause > 0)
		daemon_arm(d, TIMER_SWEEP, d->stop.sweep_usec);
	return pause == 0;
}

/* coredns waits seconds for answers to what it has asked Envoy, which is gone. */
static void end_core_dns(struct daemon *d)
{
	uint64_t now = situation_of(d)->now_usec;

	if (d->stop.late_usec == 0) {
		d->stop.late_usec = now + CORE_DNS_USEC;
		daemon_arm(d, TIMER_CORE_DNS, d->stop.late_usec);
		proc_event(proc_of(d, CHILD_CORE_DNS), PROC_EV_STOP);
	} else if (now >= d->stop.late_usec) {
		(void)swept(d);
	}
}

/* Rules that cannot be taken out must not keep the children alive for ever: ExecStopPost tries
 * again. */
static bool given_up(const struct daemon *d)
{
	const struct situation *s = &d->carry.situation;
	uint64_t patience = s->applied == LEVEL_UNKNOWN ? FAILED_USEC : BUSY_USEC;

	return d->trouble.since_usec != 0 && s->now_usec - d->trouble.since_usec >= patience;
}

/* Nothing is started again: not what is down, and not kuma-dp when its end comes. */
static void start_nothing(struct daemon *d)
{
	for (size_t i = 0; i < d->n_children; i++) {
		enum proc_state state = d->child[i].proc.state;

		if (state == PROC_BACKOFF || state == PROC_RESTARTING || state == PROC_ENDING)
			proc_event(&d->child[i].proc, PROC_EV_STOP);
	}
}

void daemon_advance_stop(struct daemon *d)
{
	enum level applied = situation_of(d)->applied;
	bool kept = situation_of(d)->kept;
	bool out = applied == LEVEL_NONE || kept || given_up(d);

	start_nothing(d);
	if (child_lives(d, CHILD_KUMA_DP)) {
		if (!d->stop.asked && (out || applied == LEVEL_DRAIN))
			ask_kuma_dp(d);
		return;
	}
	daemon_arm(d, TIMER_DRAIN, USEC_NEVER);
	if (!out)
		return;
	if (child_lives(d, CHILD_CORE_DNS)) {
		end_core_dns(d);
		return;
	}
	if (!swept(d))
		return;
	if (applied != LEVEL_NONE && !kept)
		d->exit_status = EXIT_FAILURE;
	/* A proxy that has served before will find its ports reserved when we are started again. */
	if ((d->exit_status == 0 && !kept) || (applied == LEVEL_NONE && !situation_of(d)->served))
		d->ops->unreserve(d);
	d->stop.ended = true;
	d->ops->exit(d, d->exit_status);
}
