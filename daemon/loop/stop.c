/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Stopping: rules to DRAIN, SIGTERM to kuma-dp alone, and, because kuma-dp sleeps its whole drain
 * time even when idle, a second one as soon as no redirected connection is left; then NONE, our own
 * coredns, the sweep, and the end of the loop.
 */

#include <stdlib.h>

#include "daemon/loop/daemon.h"
#include "daemon/os/sock_diag.h"
#include "daemon/operator/log.h"
#include "daemon/operator/notify.h"
#include "daemon/process/sweep.h"

#define DRAIN_LOOK_USEC   ((uint64_t)50 * 1000)
#define DRAIN_EXTEND_USEC ((uint64_t)15 * 1000 * 1000)
#define CORE_DNS_USEC     ((uint64_t)300 * 1000) /* for our coredns to end by itself */
#define IDLE_DRAINS       2 /* looks in a row: one may fall between two connections */

static int on_drain_look(sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	const struct plan *plan = &d->generation->plan;
	const uint16_t ports[] = { plan->inbound.port, plan->outbound.port };
	struct error err = { 0 };
	size_t n = 0;
	int r = sock_tcp_connections(ports, ELEMENTS(ports), plan->user.uid, &n, &err);

	if (r < 0 && !d->drain_blind)
		log_error(&err, "Cannot count redirected connections; not ending the drain early");
	d->drain_blind = r < 0;
	d->idle_drains = r >= 0 && n == 0 ? d->idle_drains + 1 : 0;
	if (d->idle_drains >= IDLE_DRAINS) {
		log_debug("No redirected connection is left; ending kuma-dp's drain");
		proc_drained(&d->child[CHILD_KUMA_DP]);
		return 0;
	}
	if (n > 0 && d->exit_status == 0)
		notify_status(d->status, "Draining: %zu redirected connection%s open", n,
			      n == 1 ? " is" : "s are");
	notify_extend(DRAIN_EXTEND_USEC);
	(void)sd_event_source_set_time_relative(source, DRAIN_LOOK_USEC);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* coredns waits seconds for answers to what it has asked Envoy, which is gone. */
static int on_core_dns_late(_unused_ sd_event_source *source, _unused_ uint64_t usec,
			    void *userdata)
{
	struct daemon *d = userdata;
	struct error err = { 0 };

	if (sweep_uid(d->generation->plan.user.uid, &err) < 0)
		log_error(&err, "Cannot end coredns");
	return 0;
}

static void ask_core_dns(struct daemon *d)
{
	if (d->child[CHILD_CORE_DNS].state == PROC_STOPPING)
		return;
	d->drain_timer = sd_event_source_disable_unref(d->drain_timer);
	(void)sd_event_add_time_relative(d->event, &d->drain_timer, CLOCK_MONOTONIC, CORE_DNS_USEC,
					 1000, on_core_dns_late, d);
	proc_stop(&d->child[CHILD_CORE_DNS]);
}

static void ask_kuma_dp(struct daemon *d)
{
	d->stop_asked = true;
	proc_stop(&d->child[CHILD_KUMA_DP]);
	if (sd_event_add_time_relative(d->event, &d->drain_timer, CLOCK_MONOTONIC, DRAIN_LOOK_USEC,
				       1000, on_drain_look, d) < 0)
		proc_hurry(&d->child[CHILD_KUMA_DP]);
	else
		(void)sd_event_source_set_description(d->drain_timer, "drain");
}

/* Whether the rules are where kuma-dp may be told to go. Rules that cannot be taken out must not
 * keep the children alive for ever: ExecStopPost tries again. */
static bool rules_let_go(const struct daemon *d)
{
	enum level applied = d->situation.applied;

	return applied == LEVEL_NONE || applied == LEVEL_DRAIN || d->retries >= RETRIES_MAX;
}

void daemon_advance_stop(struct daemon *d)
{
	struct error err = { 0 };
	int r;

	if (d->child[CHILD_KUMA_DP].pid > 0) {
		if (!d->stop_asked && rules_let_go(d))
			ask_kuma_dp(d);
		return;
	}
	if (d->situation.applied != LEVEL_NONE && d->retries < RETRIES_MAX)
		return;
	if (d->child[CHILD_CORE_DNS].pid > 0) {
		ask_core_dns(d);
		return;
	}
	r = sweep_uid(d->generation->plan.user.uid, &err);
	if (r < 0)
		log_error(&err, "Cannot sweep what the children left");
	if (d->situation.applied != LEVEL_NONE)
		d->exit_status = EXIT_FAILURE;
	(void)sd_event_exit(d->event, d->exit_status);
}
