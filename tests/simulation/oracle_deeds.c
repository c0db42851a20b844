/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What has to be true of what the daemon says, and of each thing that it asks for. */

#include <string.h>

#include "tests/simulation/oracle.h"

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
		m->drains = m->keeps = false;
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
	if (level == LEVEL_NO_DNS && w->d.carry.situation.applied == LEVEL_FULL &&
	    w->setup.hold_usec == USEC_NEVER &&
	    (m->known.on || (asked(w) && age(w, &m->down) > unnoticed_usec(w, &m->down))))
		fail(w, "lets DNS go direct under an infinite hold");
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
