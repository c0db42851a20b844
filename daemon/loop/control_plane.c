/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control plane. Its loss is no failure: the proxy goes on with what it knows, and that is told
 * once. Its refusal of a proxy that has just crashed is waited out: common/supervise/refusal.h.
 */

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

/* From kuma-dp's start to Envoy's first try, where no line tells of it: a round of probes may be late. */
#define LEAD_USEC ((uint64_t)800 * 1000)

void daemon_disconnected(struct daemon *d)
{
	if (d->control_plane.state == CONTROL_PLANE_CONNECTED)
		refusal_crashed(&d->control_plane.refusal, d->ops->now(d));
	else
		refusal_ended(&d->control_plane.refusal);
	d->control_plane.state = CONTROL_PLANE_UNKNOWN;
}

/* A try of at most that long after the start of kuma-dp was refused. */
static void refused(struct daemon *d, uint64_t lead_usec)
{
	struct situation *s = situation_of(d);
	struct refusal *refusal = &d->control_plane.refusal;
	uint64_t started = d->carry.child[CHILD_KUMA_DP].started_usec;
	uint64_t now = d->ops->now(d), by;

	if (s->wish != WISH_RUN || s->proxy_serving || !child_lives(d, CHILD_KUMA_DP))
		return;
	by = refusal_shows(refusal, started, started + lead_usec, now);
	d->ops->wake(d);
	if (by == 0)
		return;
	situation_proxy_by(s, by);
	log_notice("The control plane refuses a proxy that has just ended for about 10 s: kuma-dp "
		   "is started once more in %.1f s",
		   (double)(refusal->start_usec - now) / 1000000);
}

bool daemon_seeks_envoy(struct daemon *d)
{
	return d->probe.envoy == 0 &&
	       refusal_still_until(&d->control_plane.refusal, d->ops->now(d)) > 0;
}

void daemon_refused(void *userdata)
{
	struct daemon *d = userdata;
	struct refusal *refusal = &d->control_plane.refusal;

	/* The service was stopped shortly before it was started; nobody knows when. */
	if (!d->carry.ready && refusal->crash_usec == 0 && child_lives(d, CHILD_KUMA_DP))
		refusal_crashed(refusal, d->carry.child[CHILD_KUMA_DP].started_usec);
	refused(d, d->ops->now(d) - d->carry.child[CHILD_KUMA_DP].started_usec);
	/* The round under way began before that Envoy, and would wait for answers that do not come. */
	if (daemon_seeks_envoy(d))
		d->ops->hurry(d);
}

uint64_t daemon_keep_envoy_still(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	enum proc_state state = proc_of(d, CHILD_KUMA_DP)->state;
	uint64_t until = refusal_still_until(&d->control_plane.refusal, s->now_usec);
	int r;

	if (s->wish != WISH_RUN || state == PROC_RESTARTING || state == PROC_ENDING ||
	    d->probe.envoy == 0)
		until = 0;
	if (d->control_plane.still == (until > 0))
		return until ? until : USEC_NEVER;
	d->control_plane.still = until > 0;
	r = d->ops->signal_envoy(d, until ? SIGSTOP : SIGCONT);
	/* One that has ended needs nothing. */
	if (r < 0 && r != -ESRCH)
		log_error(NULL, "Cannot %s Envoy: %s", until ? "stop" : "continue", strerror(-r));
	return until ? until : USEC_NEVER;
}

static void tell(const struct daemon *d)
{
	if (d->control_plane.state == CONTROL_PLANE_LOST)
		log_event(LOG_LEVEL_WARNING, MSG_CONTROL_PLANE_LOST, NULL,
			  "The proxy has lost the control plane; it goes on with what it knows");
	else
		log_event(LOG_LEVEL_NOTICE, MSG_CONTROL_PLANE_BACK, NULL,
			  "The proxy is connected to the control plane again");
}

/* Whether Envoy has had time for its first try. The timed start is given more: where lines tell, they do
 * so in time, and an Envoy that is stopped before its first try is late with it. */
static bool has_tried(struct daemon *d)
{
	uint64_t least = d->control_plane.refusal.started ? 2 * LEAD_USEC : LEAD_USEC;

	return d->ops->now(d) - d->carry.child[CHILD_KUMA_DP].started_usec >= least;
}

void daemon_control_plane_probed(struct daemon *d, const struct probe_result *result)
{
	enum probe_control_plane before = d->control_plane.state;
	enum probe_control_plane state = result->control_plane;

	/* An Envoy without listeners says that it is ready, too. */
	if (state == CONTROL_PLANE_LOST && !result->listeners && has_tried(d))
		refused(d, LEAD_USEC);
	/* It was taken all the same: it has the time that any start has. */
	if (result->listeners && refusal_start_is_timed(&d->control_plane.refusal) &&
	    !situation_of(d)->served) {
		refusal_ended(&d->control_plane.refusal);
		daemon_give_time(d, d->carry.child[CHILD_KUMA_DP].started_usec);
	}
	/* Until it serves it tries to connect: it has not succeeded, nor lost anything. */
	if (!result->listeners || state == before || state == CONTROL_PLANE_UNKNOWN)
		return;
	d->control_plane.state = state;
	d->control_plane.since_usec = d->ops->now(d);
	if (state == CONTROL_PLANE_LOST || before == CONTROL_PLANE_LOST)
		tell(d);
}
