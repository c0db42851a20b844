/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What has to be true, from the sentences of the design and not from the code; here: of what there is
 * (processes, rules) as time passes.
 */

#include "tests/simulation/oracle.h"

/* An apply that failed is tried again in this time. */
#define AGAIN_USEC (SECOND + 50 * MSEC)
/* A process that hangs; the end of one that has failed: two SIGTERMs, SIGKILL. */
#define HANG_USEC   (10 * SECOND)
#define ENDING_USEC (2500 * MSEC)
/* A start that is timed to come behind the control plane's refusal. */
#define REFUSED_USEC (11 * SECOND)
#define SWEEP_USEC   (3 * SECOND)
/* Others hold the lock, in a stop: then the children are ended all the same, and again for the last
 * step; kuma-dp's time after a SIGTERM that was the last; coredns'; and what is left for the rest. */
#define KILL_USEC (10 * SECOND + 250 * MSEC)
#define REST_USEC (3 * SECOND)
/* Of rules that others have changed, and the longest pause in a fight. */
#define DRIFT_USEC  (9 * SECOND)
#define FIGHT_USEC  (31 * SECOND)
#define RELOAD_USEC (31 * SECOND)
#define IDLE_USEC   (20 * SECOND)

void span_is(struct world *w, struct span *span, bool on)
{
	if (on && !span->on)
		*span = (struct span){ true, w->now, w->stalled_usec, w->memory.discarded };
	span->on = on;
}

static bool in_trouble(const struct world *w)
{
	return recently(w, w->memory.trouble_usec, AGAIN_USEC);
}

static bool child_works(const struct world *w, enum process_id id)
{
	const struct process *p = &w->process[id];

	return p->pid && !p->stopped && !p->mute && p->terms == 0 && !p->killed &&
	       w->now >= p->serves_usec && w->due[SLOT_ENDS + id] == USEC_NEVER;
}

static bool all_is_well(const struct world *w)
{
	const struct process *kuma_dp = &w->process[P_KUMA_DP];

	if (!runs(w) || !kuma_dp->pid || kuma_dp->stopped || kuma_dp->mute || kuma_dp->terms ||
	    kuma_dp->killed || w->due[SLOT_TOLD] != USEC_NEVER ||
	    recently(w, w->memory.doubt_usec, 3 * SECOND))
		return false;
	if (kuma_dp->command != w->setup.command[CHILD_KUMA_DP] ||
	    (w->setup.core_dns &&
	     w->process[P_CORE_DNS].command != w->setup.command[CHILD_CORE_DNS]))
		return false;
	return child_works(w, P_ENVOY) && (!w->setup.core_dns || child_works(w, P_CORE_DNS)) &&
	       (!redirects_dns(w->d.current) || dns_answers_truly(w)) &&
	       (!w->d.next || !redirects_dns(w->d.next) || dns_answers_truly(w));
}

/* It was told to end twice while it could not hear it. */
static bool has_heard_nothing(const struct world *w)
{
	return w->process[P_KUMA_DP].terms >= 2 && w->due[SLOT_ENDS + P_KUMA_DP] == USEC_NEVER;
}

void oracle_notes(struct world *w)
{
	struct memory *m = &w->memory;
	bool serves = proxy_serves_truly(w) || (runs(w) && proxy_is_renewed(w)),
	     well = all_is_well(w);
	bool asks_dns = w->alive && redirects_dns(w->d.current) && redirects_dns(latest_of(&w->d));
	unsigned generation = w->alive ? w->d.current->number : 0;

	/* Another may redirect what nobody has asked yet. */
	if (generation != m->generation)
		m->well.on = m->dns_down.on = false;
	m->generation = generation;

	span_is(w, &m->down, !serves);
	/* From the first SIGTERM on nobody can tell whether one that did not serve before begins to. */
	span_is(w, &m->up,
		proxy_serves_truly(w) && w->process[P_KUMA_DP].pid && w->now >= w->lost_until &&
			w->process[P_KUMA_DP].terms == 0);
	span_is(w, &m->known, m->known.on && !serves);
	span_is(w, &m->dns_down, !dns_answers_truly(w));
	span_is(w, &m->well, well);
	span_is(w, &m->expired, expired(w));
	span_is(w, &m->edited, w->kernel.edit != EDIT_NONE);
	span_is(w, &m->doubled,
		w->kernel.leftovers && w->alive && w->d.carry.said == PHASE_REDIRECTING);
	span_is(w, &m->lies, m->edited.on && w->alive && w->d.carry.said == PHASE_REDIRECTING);
	span_is(w, &m->useless[CHILD_KUMA_DP],
		w->process[P_KUMA_DP].pid &&
			(!serves || w->process[P_KUMA_DP].stopped || w->process[P_KUMA_DP].mute));
	span_is(w, &m->useless[CHILD_CORE_DNS],
		w->process[P_CORE_DNS].pid && !child_works(w, P_CORE_DNS) && asks_dns);
	if (!m->idle.on)
		m->wakeups = 0;
	span_is(w, &m->idle,
		well && !m->edited.on && !in_trouble(w) && w->d.carry.said == PHASE_REDIRECTING);
	if (m->stopping.on && (m->unswept || w->process[P_KUMA_DP].stopped ||
			       w->process[P_KUMA_DP].deaf || has_heard_nothing(w)))
		m->keeps = true;
	if (m->stopping.on &&
	    (m->keeps || w->connections || in_trouble(w) || w->now < w->uncountable_until))
		m->drains = true;
	span_is(w, &m->unhindered, m->hurried.on && m->stopping.on && !in_trouble(w));
}

/* Nothing redirects into a port that nobody of ours serves longer than the hold allows. */
static void hold_is_kept(struct world *w)
{
	const struct memory *m = &w->memory;
	uint64_t hold = w->setup.hold_usec;

	if (!runs(w) || !kernel_redirects(w) || in_trouble(w))
		return;
	if (m->whole_usec == 0)
		fail(w, "redirects, and no proxy has ever served");
	if (hold != USEC_NEVER && age(w, &m->known) > hold)
		fail(w, "still redirects %.3f s after the known end of the proxy; the hold is %.3f",
		     (double)age(w, &m->known) / SECOND, (double)hold / SECOND);
	if (hold != USEC_NEVER && asked(w) && age(w, &m->down) > hold + unnoticed_usec(w, &m->down))
		fail(w, "still redirects after %.3f s without a proxy; the hold is %.3f s",
		     (double)age(w, &m->down) / SECOND, (double)hold / SECOND);
	if (w->kernel.level == LEVEL_FULL && w->kernel.rules % 2 == 1 && asked(w) &&
	    age(w, &m->dns_down) > unnoticed_usec(w, &m->dns_down) &&
	    w->kernel.rules == w->setup.rules &&
	    (hold != USEC_NEVER || age(w, &m->up) > unnoticed_usec(w, &m->up)))
		fail(w, "still redirects DNS after %.3f s without an answer",
		     (double)age(w, &m->dns_down) / SECOND);
	if (age(w, &m->expired) > 0)
		fail(w, "still redirects though nobody has confirmed it");
}

/* In which time a process does its work, or is ended. One that was asked to end, to be started again,
 * drains. */
static uint64_t useful_in_usec(const struct world *w, size_t id)
{
	uint64_t usec = w->bounds.readiness_usec + HANG_USEC + 3 * UNNOTICED_USEC + ENDING_USEC;

	if (w->process[id].terms)
		usec += w->bounds.drain_usec + KILL_USEC;
	return usec + unnoticed_usec(w, &w->memory.useless[id]);
}

/* Where nothing is wrong everything is in; where something is, something is done. */
static void goes_on(struct world *w)
{
	const struct memory *m = &w->memory;
	uint64_t usec = 2 * SECOND + UNNOTICED_USEC + w->setup.interval_usec;

	if (!runs(w))
		return;
	if (age(w, &m->well) > usec && !m->edited.on && !in_trouble(w) && !expired(w) && asked(w) &&
	    (w->d.carry.said != PHASE_REDIRECTING || w->kernel.level != LEVEL_FULL || w->d.next ||
	     w->kernel.rules != w->setup.rules))
		fail(w,
		     "all has been well for %.3f s, and it says \"%s\" with level %s of %u, not %u",
		     (double)age(w, &m->well) / SECOND, phase_name(w->d.carry.said),
		     level_name(w->kernel.level), w->kernel.rules, w->setup.rules);
	if (age(w, &m->idle) > IDLE_USEC && m->wakeups > age(w, &m->idle) / SECOND)
		fail(w, "%u timers in %.1f s of rest", m->wakeups,
		     (double)age(w, &m->idle) / SECOND);
	if (age(w, &m->asked) > w->bounds.drain_usec + w->bounds.readiness_usec + RELOAD_USEC)
		fail(w, "a reload is not answered for %.3f s", (double)age(w, &m->asked) / SECOND);
	for (size_t i = 0; i < w->d.n_children; i++) {
		if (age(w, &m->missing[i]) > w->bounds.max_delay_usec + SWEEP_USEC + REFUSED_USEC)
			fail(w, "%s has not been started for %.3f s",
			     process_name((enum process_id)i),
			     (double)age(w, &m->missing[i]) / SECOND);
		if (asked(w) && age(w, &m->useless[i]) > useful_in_usec(w, i))
			fail(w, "a %s that does not serve lives on after %.3f s",
			     process_name((enum process_id)i),
			     (double)age(w, &m->useless[i]) / SECOND);
	}
}

static void drift_is_seen(struct world *w)
{
	const struct memory *m = &w->memory;

	if (!runs(w) || in_trouble(w) || recently(w, w->kernel.blind_until, 2 * SECOND) ||
	    w->now < w->kernel.blind_until || expired(w))
		return;
	if (age(w, &m->lies) > DRIFT_USEC)
		fail(w, "says that it redirects %.3f s after others have changed the rules",
		     (double)age(w, &m->lies) / SECOND);
	if (age(w, &m->well) > FIGHT_USEC && age(w, &m->doubled) > FIGHT_USEC)
		fail(w, "kumactl's redirect has been beside ours for %.3f s",
		     (double)age(w, &m->doubled) / SECOND);
	if (m->well.on && age(w, &m->edited) > DRIFT_USEC + FIGHT_USEC &&
	    age(w, &m->well) > DRIFT_USEC + FIGHT_USEC)
		fail(w, "rules that others have changed are not put right for %.3f s",
		     (double)age(w, &m->edited) / SECOND);
}

static void stop_ends(struct world *w)
{
	const struct memory *m = &w->memory;
	uint64_t rest = KILL_USEC + PATIENCE_USEC + SWEEP_USEC + REST_USEC;

	if (!w->alive || !m->stopping.on)
		return;
	if (kernel_redirects(w) && age(w, &m->stopping) > 0 && !in_trouble(w))
		fail(w, "still redirects though it stops");
	if (age(w, &m->stopping) > PATIENCE_USEC + w->bounds.drain_usec + rest)
		fail(w, "does not end: %.3f s after it was asked to stop",
		     (double)age(w, &m->stopping) / SECOND);
	if (age(w, &m->hurried) > PATIENCE_USEC + rest)
		fail(w, "does not end: %.3f s after it was asked to stop again",
		     (double)age(w, &m->hurried) / SECOND);
	if (!m->keeps && age(w, &m->unhindered) > SWEEP_USEC + REST_USEC)
		fail(w, "does not end: %.3f s after it was asked to stop again, with no drain",
		     (double)age(w, &m->unhindered) / SECOND);
	if (!m->drains && age(w, &m->stopping) > SWEEP_USEC + REST_USEC)
		fail(w, "does not end: %.3f s after it was asked to stop, with nothing to wait for",
		     (double)age(w, &m->stopping) / SECOND);
}

void oracle_time(struct world *w)
{
	oracle_notes(w);
	hold_is_kept(w);
	goes_on(w);
	drift_is_seen(w);
	stop_ends(w);
}
