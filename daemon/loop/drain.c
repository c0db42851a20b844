/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * While kuma-dp drains: it sleeps its whole drain time, even when idle, so a second SIGTERM ends that
 * as soon as no redirected connection is left.
 */

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/notify.h"

#define DRAIN_LOOK_USEC ((uint64_t)50 * 1000)
#define IDLE_DRAINS     2 /* looks in a row: one may fall between two connections */

void daemon_drain(struct daemon *d)
{
	d->drain = (struct drain){ 0 };
	daemon_arm(d, TIMER_DRAIN, d->ops->now(d) + DRAIN_LOOK_USEC);
}

uint64_t daemon_drain_sec(struct daemon *d)
{
	const struct proc *proc = proc_of(d, CHILD_KUMA_DP);
	uint64_t since = proc->term == PROC_TERM_NONE ? d->ops->now(d) : proc->term_usec;

	return proc->term > PROC_TERM_SENT ? 0 : daemon_seconds_until(d, since + proc->drain_usec);
}

static void say_open(struct daemon *d, size_t n)
{
	if (n > 0 && situation_of(d)->wish == WISH_STOP && d->exit_status == 0)
		notify_status(d->status,
			      "Draining: %zu redirected connection%s open, for at most %llu s", n,
			      n == 1 ? " is" : "s are", (unsigned long long)daemon_drain_sec(d));
}

void daemon_drain_look(struct daemon *d)
{
	const struct plan *plan = &d->current->plan;
	const uint16_t ports[] = { plan->inbound.port, plan->outbound.port };
	enum proc_state state = proc_of(d, CHILD_KUMA_DP)->state;
	struct error err = { 0 };
	size_t n = 0;
	int r;

	/* The one that drained has ended, and another may live by now. */
	if (state != PROC_STOPPING && state != PROC_RESTARTING)
		return;
	r = d->ops->connections(ports, ELEMENTS(ports), plan->user.uid, &n, &err);
	/* A start that failed has redirected next to nothing: what cannot be counted is none. */
	if (r < 0 && !d->carry.ready)
		r = 0;
	if (r < 0 && !d->drain.blind)
		log_error(&err, "Cannot count redirected connections; not ending the drain early");
	d->drain.blind = r < 0;
	d->drain.idle = r >= 0 && n == 0 ? d->drain.idle + 1 : 0;
	if (d->drain.idle >= IDLE_DRAINS) {
		log_debug("No redirected connection is left; ending kuma-dp's drain");
		proc_event(proc_of(d, CHILD_KUMA_DP), PROC_EV_HURRY);
		return;
	}
	say_open(d, n);
	notify_extend(EXTEND_USEC);
	daemon_arm(d, TIMER_DRAIN, d->ops->now(d) + DRAIN_LOOK_USEC);
}
