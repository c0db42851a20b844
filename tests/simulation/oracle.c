/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What has to be true, from the sentences of the design and not from the code: it looks at what there
 * is (processes, rules, time), at what the daemon asks for, and at what it says.
 */

#include <string.h>

#include "tests/simulation/world.h"

/* How long a proxy that has ceased to serve may go unnoticed where nobody is told of its end: an
 * answer that is a second old, two seconds to the next round, and two rounds of a second each; the
 * pause between these two is the readiness interval. */
#define UNNOTICED_USEC (5 * SECOND + 50 * MSEC)
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
#define PATIENCE_USEC (10 * SECOND)
#define KILL_USEC     (10 * SECOND + 250 * MSEC)
#define REST_USEC     (3 * SECOND)
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

static uint64_t age(const struct world *w, const struct span *span)
{
	if (!span->on)
		return 0;
	return w->now - span->since_usec - (w->stalled_usec - span->stalled_usec);
}

/* How long it may go on before rounds of probes have shown it: longer by each one that counts for
 * nothing, because a process came or went meanwhile. */
static uint64_t unnoticed_usec(const struct world *w, const struct span *span)
{
	return UNNOTICED_USEC + w->setup.interval_usec +
	       (w->memory.discarded - span->discarded) * (SECOND + w->setup.interval_usec);
}

static bool recently(const struct world *w, uint64_t when_usec, uint64_t usec)
{
	return when_usec != 0 && w->now - when_usec <= usec;
}

static bool in_trouble(const struct world *w)
{
	return recently(w, w->memory.trouble_usec, AGAIN_USEC);
}

/* A round of probes late, or not begun. */
static bool asked(const struct world *w)
{
	return !recently(w, w->memory.unasked_usec, 2 * UNNOTICED_USEC);
}

static bool runs(const struct world *w)
{
	return w->alive && !w->memory.stopping.on && w->d.carry.situation.wish == WISH_RUN;
}

static bool redirects_dns(const struct generation *g)
{
	return g->plan.family[FAMILY_V4].dns;
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

static bool expired(const struct world *w)
{
	const struct memory *m = &w->memory;

	return m->reached && !m->confirmed && w->setup.confirm_usec &&
	       w->now >= m->reached_usec + w->setup.confirm_usec;
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
	span_is(w, &m->up, serves && w->process[P_KUMA_DP].pid && w->now >= w->lost_until);
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
	if (m->stopping.on &&
	    (w->connections || m->unswept || in_trouble(w) || w->now < w->uncountable_until ||
	     w->process[P_KUMA_DP].stopped || w->process[P_KUMA_DP].deaf || has_heard_nothing(w)))
		m->drains = true;
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

static bool status_is(const struct world *w, const char *word)
{
	return strncmp(w->d.status, word, strlen(word)) == 0;
}

/* What is said is what is in. */
static void words_are_true(struct world *w)
{
	static const struct {
		enum phase phase;
		const char *word;
		enum level low, high;
	} rows[] = {
		{ PHASE_REDIRECTING, "Redirecting", LEVEL_FULL, LEVEL_FULL },
		/* At FULL kuma-dp itself does not answer. */
		{ PHASE_DEGRADED, "Degraded", LEVEL_NO_DNS, LEVEL_FULL },
		{ PHASE_COUNT, "Degraded: DNS", LEVEL_NO_DNS, LEVEL_NO_DNS },
		{ PHASE_HOLDING, "Holding", LEVEL_NO_DNS, LEVEL_FULL },
		{ PHASE_RELEASED, "Released", LEVEL_NONE, LEVEL_DRAIN },
		{ PHASE_STOPPED, "-", LEVEL_NONE, LEVEL_NONE },
	};
	enum level in = w->kernel.level;

	for (size_t i = 0; i < ELEMENTS(rows); i++)
		if ((w->d.carry.said == rows[i].phase || status_is(w, rows[i].word)) &&
		    (in < rows[i].low || in > rows[i].high))
			fail(w, "says \"%s\", \"%s\", and %s is in", phase_name(w->d.carry.said),
			     w->d.status, level_name(in));
}

/* Something is due that leads on. */
static bool something_is_armed(const struct world *w)
{
	for (size_t i = 0; i < CHILD_COUNT; i++)
		if (w->process[i].killed)
			return true;
	for (size_t i = SLOT_TOLD; i < SLOT_COUNT; i++)
		if (w->due[i] != USEC_NEVER)
			return true;
	return false;
}

static unsigned rules_of(const struct world *w, unsigned generation)
{
	const struct generation *g = w->d.current;

	if (g->number != generation)
		g = w->d.applied;
	if (!g || g->number != generation)
		fail((struct world *)w, "there is no generation %u", generation);
	return rules_number(&g->rules[LEVEL_FULL]);
}

void oracle_words(struct world *w)
{
	const struct situation *s = &w->d.carry.situation;
	struct memory *m = &w->memory;

	if (s->wish == WISH_STOP && !m->stopping.on) {
		m->drains = false;
		span_is(w, &m->stopping, true);
	}
	if (s->applied != LEVEL_UNKNOWN && s->applied != w->kernel.level)
		fail(w, "takes level %s to be in, and %s is", level_name(s->applied),
		     level_name(w->kernel.level));
	if (s->applied != LEVEL_UNKNOWN && s->applied != LEVEL_NONE &&
	    rules_of(w, s->applied_generation) != w->kernel.rules)
		fail(w, "takes the rules of generation %u to be in, and %u are",
		     s->applied_generation, w->kernel.rules);
	words_are_true(w);
	if (w->d.carry.ready && !m->reached)
		fail(w, "is ready, and has not redirected yet");
	if (w->kernel.level > LEVEL_NONE && s->applied != LEVEL_UNKNOWN && !w->reserved)
		fail(w, "redirects into ports that are not reserved");
	if (w->kernel.address && !w->kernel.address_known)
		fail(w, "::6 is there, and no record tells of it");
	if (!w->ended && !something_is_armed(w))
		fail(w, "nothing is armed that leads out of this");
	if (runs(w) && w->due[SLOT_TIMER + TIMER_PROBE] == USEC_NEVER && !w->probing)
		fail(w, "nobody asks the proxy any more");
	for (size_t i = 0; i < w->d.n_children; i++)
		span_is(w, &m->missing[i], runs(w) && w->d.begun && w->d.carry.child[i].pid == 0);
	oracle_time(w);
}

/* Traffic goes direct only when the hold is over; it is redirected only where somebody serves. */
void oracle_apply(struct world *w, enum level level)
{
	struct memory *m = &w->memory;
	const struct carried_process *kuma_dp = &w->d.carry.child[CHILD_KUMA_DP];

	generation_taken(w);
	if (w->d.carry.situation.wish == WISH_STOP) {
		if (level > LEVEL_DRAIN)
			fail(w, "asks for level %s while it stops", level_name(level));
		return;
	}
	if (level <= LEVEL_DRAIN) {
		if (m->reached && !expired(w) && !m->released && w->kernel.level > LEVEL_DRAIN &&
		    (w->setup.hold_usec == USEC_NEVER ||
		     w->now < m->certain_usec + w->setup.hold_usec))
			fail(w, "lets traffic go direct before the hold is over");
		m->released = true;
		return;
	}
	if (expired(w))
		fail(w, "asks for level %s, which nobody has confirmed", level_name(level));
	if (!w->reserved)
		fail(w, "asks for level %s with ports that are not reserved", level_name(level));
	if (!kernel_redirects(w) && w->kernel.level <= LEVEL_DRAIN &&
	    (!kuma_dp->pid || m->good_usec < kuma_dp->started_usec))
		fail(w, "asks for level %s, and this kuma-dp has never served", level_name(level));
	if (level == LEVEL_FULL && w->kernel.level != LEVEL_FULL && redirects_dns(w->d.current) &&
	    m->whole_usec < kuma_dp->started_usec)
		fail(w, "asks for level full, and DNS has not been answered");
	if (m->whole_usec == 0)
		fail(w, "asks for level %s before all has ever served", level_name(level));
}

void oracle_applied(struct world *w, enum level level)
{
	struct memory *m = &w->memory;

	if (level > LEVEL_DRAIN)
		m->released = false;
	if (level == LEVEL_FULL && !m->reached) {
		m->reached = true;
		m->reached_usec = w->now;
	}
}

void oracle_start(struct world *w, enum process_id id)
{
	generation_taken(w);
	if (w->d.carry.situation.wish == WISH_STOP)
		fail(w, "starts %s while it stops", process_name(id));
	w->memory.missing[id].on = false;
	for (size_t i = P_ORPHAN; i < P_COUNT && id == P_KUMA_DP; i++)
		if (w->process[i].pid && !w->process[i].killed && !w->memory.unswept)
			fail(w, "starts kuma-dp beside what the former one has left");
}

/* What serves is not ended. */
void oracle_signal(struct world *w, enum process_id id, int sig)
{
	struct process *p = &w->process[id];

	generation_taken(w);
	if (runs(w) && p->command == w->setup.command[id] && p->terms == 0 && !p->killed &&
	    age(w, &w->memory.well) > UNNOTICED_USEC + w->setup.interval_usec && asked(w))
		fail(w, "sends SIG%s to a %s that has been well for %.3f s", sigabbrev_np(sig),
		     process_name(id), (double)age(w, &w->memory.well) / SECOND);
	/* Where it had ceased to serve before, it is not taken for one that drains. */
	p->renewed |= p->terms == 0 && p->command != w->setup.command[id] &&
		      age(w, &w->memory.down) <= unnoticed_usec(w, &w->memory.down);
	if (sig == SIGTERM && p->terms == 2)
		fail(w, "sends a third SIGTERM to %s", process_name(id));
}

void oracle_told(struct world *w, bool proxy)
{
	w->memory.stale = true;
	if (proxy && !proxy_serves_truly(w))
		span_is(w, &w->memory.known, true);
}

void oracle_born(struct world *w)
{
	w->memory = (struct memory){ 0 };
}

void oracle_reloaded(struct world *w)
{
	w->memory.asked.on = false;
	span_is(w, &w->memory.asked, true);
}

/* What was answered is true. */
void oracle_replied(struct world *w, bool ok, bool note)
{
	tell(w, "the reload is answered: %s%s", ok ? "yes" : "no", note ? ", later" : "");
	if (!w->memory.asked.on)
		fail(w, "answers a reload that nobody has asked for");
	w->memory.asked.on = false;
	if (!ok || note)
		return;
	if (w->kernel.level != LEVEL_NONE && w->kernel.rules != w->setup.rules)
		fail(w, "says that the rules of %u are in, and %u are", w->setup.rules,
		     w->kernel.rules);
	for (size_t i = 0; i < w->d.n_children; i++)
		if (w->process[i].pid && w->process[i].command != w->setup.command[i])
			fail(w, "says that it has reloaded, and %s is the old one",
			     process_name((enum process_id)i));
}

/* A stop leaves nothing, but where the kernel would not. */
void oracle_end(struct world *w)
{
	bool refused = recently(w, w->memory.trouble_usec, PATIENCE_USEC);

	if (w->memory.asked.on)
		fail(w, "ends without an answer to a reload");

	if (w->kernel.level != LEVEL_NONE && !(refused && w->status != 0))
		fail(w, "ends with status %d and leaves level %s", w->status,
		     level_name(w->kernel.level));
	if (w->kernel.address && !(refused && w->status != 0))
		fail(w, "ends with status %d and leaves ::6", w->status);
	if (w->status == 0 && w->reserved)
		fail(w, "ends and keeps the ports");
	for (size_t i = 0; i < P_COUNT; i++)
		if (w->process[i].pid && !w->process[i].killed && !w->memory.unswept)
			fail(w, "ends and leaves %s (%d)", process_name((enum process_id)i),
			     (int)w->process[i].pid);
}
