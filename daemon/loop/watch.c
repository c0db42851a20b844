/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Rounds of probes: what they find is taken over into the situation, and the loop is woken.
 */

#include <stdio.h>
#include <string.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"

/* Rounds of probes. While all is well one follows the other, and the answers are read when the next
 * questions are asked: nothing else wakes the daemon. What does not answer is asked once more by a
 * round that ends with the last answer. */
#define WATCH_USEC ((uint64_t)2 * 1000 * 1000)
#define PROBE_USEC ((uint64_t)1000 * 1000)
/* One that finds out no more than who is Envoy, which shows when it begins. */
#define SEEK_USEC ((uint64_t)100 * 1000)

/* A proxy that has just come on a step towards serving is asked again so soon, and then at twice the
 * distance each time, up to readiness.interval: the next step is often no further away. */
#define STEP_USEC ((uint64_t)10 * 1000)
/* More than a start has: one that goes to and fro comes on no further. */
#define STEPS_MAX 16

/* Envoy looks at all its figures to find the one about the control plane, so it is asked every 10 s
 * only while it serves. */
#define CONTROL_PLANE_ROUNDS 5

/* A timer that is so late is not the loop's own doing, nor that of a host under load: what is shorter
 * costs one round at most, which is a hiccup. */
#define ABSENT_USEC ((uint64_t)5 * 1000 * 1000)
/* Between events that come one after another. */
#define PAUSE_USEC ((uint64_t)100 * 1000)

/* libsystemd tells when most of WatchdogSec= is over. Where it was told shortly before, a machine can
 * stand still for a minute: systemd, which may wake up before us, sees that much less silence. */
#define ALIVE_USEC ((uint64_t)10 * 1000 * 1000)

/* The last round counts, and found all that it looked for. */
static bool is_calm(const struct daemon *d)
{
	return d->carry.situation.served && d->probe.misses == 0 && !d->probe.stale &&
	       child_lives(d, CHILD_KUMA_DP);
}

static void probe_later(struct daemon *d)
{
	uint64_t most = (uint64_t)d->current->plan.readiness_interval_nsec / 1000;
	uint64_t usec =
		d->probe.pause_usec && d->probe.pause_usec < most ? d->probe.pause_usec : most;

	d->probe.pause_usec = 2 * usec;
	/* Nothing is missed, or nothing can be found. */
	if (is_calm(d) || (situation_of(d)->served && !child_lives(d, CHILD_KUMA_DP)))
		usec = WATCH_USEC;
	daemon_arm(d, TIMER_PROBE, d->ops->now(d) + usec);
}

static void pause_for_step(struct daemon *d)
{
	d->probe.steps++;
	d->probe.pause_usec = STEP_USEC;
}

static void proxy_serves(struct daemon *d)
{
	pid_t pid = d->carry.child[CHILD_KUMA_DP].pid;
	char field[40], *fields[] = { (char[]){ "TPROXYD_PROCESS=kuma-dp" }, field, NULL };

	(void)snprintf(field, sizeof(field), "TPROXYD_PID=%d", (int)pid);
	log_event(LOG_LEVEL_INFO, MSG_PROCESS_READY, (const char *const *)fields,
		  "kuma-dp (process %d) serves", (int)pid);
}

/* What a round that counts has found, for the children's own states. */
static void tell_child(struct daemon *d, enum child_id id, bool serves)
{
	if (id < d->n_children)
		proc_event(proc_of(d, id), serves ? PROC_EV_READY : PROC_EV_LOST);
}

static void take_over(struct daemon *d, struct sighting seen)
{
	struct situation *s = situation_of(d);
	enum proxy_news news = situation_probed(s, seen, daemon_hold_usec(d), d->ops->now(d));

	if (news == PROXY_SERVES) {
		d->probe.steps = 0;
		refusal_over(&d->control_plane.refusal);
		proxy_serves(d);
	}
	if (news == PROXY_LOST)
		log_warning("The proxy does not serve any more: %s", d->probe.last.missing);
	if (!s->served)
		return;
	tell_child(d, CHILD_KUMA_DP, s->proxy_serving);
	tell_child(d, CHILD_CORE_DNS, seen.core_dns);
}

static void tell_alive(struct daemon *d, uint64_t now)
{
	if (now - d->alive_usec < ALIVE_USEC)
		return;
	d->alive_usec = now;
	notify_alive();
}

void daemon_probe_anew(struct daemon *d)
{
	d->probe.stale = true;
	if (d->probe.lazy)
		d->ops->hurry(d);
}

void daemon_was_due(struct daemon *d, uint64_t due_usec)
{
	uint64_t now = d->ops->now(d), since, gap;

	if (now - d->ran_usec > PAUSE_USEC) {
		d->ran_before_usec = d->ran_usec;
		d->absent_usec = now;
	}
	d->ran_usec = now;
	tell_alive(d, now);
	/* After a gap what was due comes in any order: the earliest counts. */
	since = due_usec > d->ran_before_usec ? due_usec : d->ran_before_usec;
	if (since >= d->absent_usec || now - since < ABSENT_USEC)
		return;
	gap = d->absent_usec - since;
	d->absent_usec = since;
	log_notice("tproxyd did not run for %llu s: it was stopped, or this machine was",
		   (unsigned long long)((now - since) / 1000000));
	situation_absent(situation_of(d), gap);
	/* Nobody knows when within that time an answer came, or was missed. */
	d->probe.misses = 0;
	daemon_probe_anew(d);
}

static uint64_t round_usec(struct daemon *d)
{
	if (daemon_seeks_envoy(d))
		return SEEK_USEC;
	return d->probe.lazy ? WATCH_USEC : PROBE_USEC;
}

void daemon_probed(const struct probe_result *result, void *userdata)
{
	struct daemon *d = userdata;
	const struct situation *s = situation_of(d);
	/* Envoy calls itself unready from the first SIGTERM on, and serves until it ends, if it did. */
	bool drains = s->proxy_serving && proc_of(d, CHILD_KUMA_DP)->state == PROC_RESTARTING;
	struct sighting seen = { (result->admin || (drains && result->alive)) && result->listeners,
				 result->dns, result->core_dns, result->kuma_dp || drains };
	bool stepped = strcmp(result->missing, d->probe.last.missing) != 0;

	daemon_was_due(d, d->probe.begun_usec + round_usec(d));
	if (s->proxy_serving)
		d->probe.pause_usec = 0;
	else if (stepped && d->probe.steps < STEPS_MAX)
		pause_for_step(d);
	d->probe.last = *result;
	if (s->wish != WISH_RUN)
		return;
	/* What it says of processes that have come or gone since it began is old. */
	if (!d->probe.stale) {
		if (result->envoy > 0 && result->envoy != d->probe.envoy &&
		    d->ops->watch_envoy(d, result->envoy) >= 0)
			d->probe.envoy = result->envoy;
		/* A round that began before DNS was to be redirected did not ask about it. */
		if (s->dns_redirected && !d->probe.dns_asked)
			d->probe.last.dns = seen.dns = false;
		/* What answers without kuma-dp is about to go. */
		seen.proxy = seen.proxy && child_lives(d, CHILD_KUMA_DP);
		daemon_control_plane_probed(d, result);
		if (probe_verdict(s, seen, &d->probe.misses))
			take_over(d, seen);
	}
	if (!d->carry.ready)
		notify_extend(EXTEND_USEC);
	/* The pause was within the round. */
	if (is_calm(d) || (d->probe.lazy && child_lives(d, CHILD_KUMA_DP)))
		daemon_probe(d);
	else
		probe_later(d);
	d->ops->wake(d);
}

/* The plan that the kuma-dp which runs was started for. */
static const struct plan *plan_of_proxy(const struct daemon *d)
{
	const struct generation *next = d->next;

	return next && daemon_child_is_of(d, CHILD_KUMA_DP, next) ? &next->plan : &d->current->plan;
}

void daemon_probe(struct daemon *d)
{
	/* DNS is asked about where the rules redirect it to, whatever a proxy for the next ones does. */
	const struct plan *plan = plan_of_proxy(d), *rules = &d->current->plan;
	bool dns = situation_of(d)->dns_redirected;
	struct probe_target target = {
		.admin_socket = WORK_DIR "/kuma-envoy-admin.sock",
		.admin_port = ENVOY_ADMIN_PORT,
		.uid = plan->user.uid,
		.gid = plan->user.gid,
		.inbound_port = plan->inbound.enabled ? plan->inbound.port : 0,
		.outbound_port = plan->outbound.enabled ? plan->outbound.port : 0,
		.dns_port = dns ? rules->dns_port : 0,
		.kuma_dp_port = KUMA_READINESS_PORT,
		.control_plane = !situation_of(d)->proxy_serving ||
				 d->probe.rounds++ % CONTROL_PLANE_ROUNDS == 0,
	};
	struct error err = { 0 };

	if (situation_of(d)->wish != WISH_RUN)
		return;
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		target.family[f] = plan->family[f].enabled;
		target.dns_family[f] = rules->family[f].dns;
	}
	if (dns && (plan->children.dns_mode == CORE_DNS_KUMA_DP ||
		    plan->children.dns_mode == CORE_DNS_TPROXYD))
		target.envoy_dns_port = plan->children.envoy_dns_port;
	d->probe.dns_asked = dns;
	d->probe.begun_usec = d->ops->now(d);
	target.lazy = d->probe.lazy = is_calm(d);
	target.timeout_usec = round_usec(d);
	d->probe.stale = false;
	if (d->ops->probe(d, &target, &err) < 0) {
		log_error(&err, "Cannot ask the proxy whether it serves");
		d->probe.lazy = false;
		probe_later(d);
	}
}
