/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control plane. Its loss is no failure: the proxy goes on with what it knows, and that is told
 * once. Its refusal of a proxy that has just crashed is waited out: common/supervise/refusal.h.
 */

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

	if (s->wish != WISH_RUN || s->proxy_serving || !d->carry.ready ||
	    !child_lives(d, CHILD_KUMA_DP))
		return;
	if (lead_usec > now - started)
		lead_usec = now - started;
	by = refusal_shows(refusal, started, started + lead_usec, now);
	if (by == 0)
		return;
	situation_proxy_by(s, by);
	log_notice(
		"The control plane refuses a proxy that has just crashed for about 10 s: kuma-dp "
		"is started once more in %.1f s",
		(double)(refusal->start_usec - now) / 1000000);
	d->ops->wake(d);
}

void daemon_refused(void *userdata)
{
	refused(userdata, UINT64_MAX);
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

void daemon_control_plane_probed(struct daemon *d, const struct probe_result *result)
{
	enum probe_control_plane before = d->control_plane.state;
	enum probe_control_plane state = result->control_plane;

	/* An Envoy without listeners says that it is ready, too. */
	if (state == CONTROL_PLANE_LOST && !result->listeners)
		refused(d, LEAD_USEC);
	/* Until it serves it tries to connect: it has not succeeded, nor lost anything. */
	if (!result->listeners || state == before || state == CONTROL_PLANE_UNKNOWN)
		return;
	d->control_plane.state = state;
	d->control_plane.since_usec = d->ops->now(d);
	if (state == CONTROL_PLANE_LOST || before == CONTROL_PLANE_LOST)
		tell(d);
}
