/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * From one generation to the next, whatever has made it. Children are started again at once where it
 * wants other ones. Its rules may need another proxy than the last one's did: they wait until that
 * serves, and what is in stays what it is. Where nothing is in, or the rules are the same, there is
 * nothing to wait for.
 */

#include <string.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"

void daemon_set_pauses(struct daemon *d)
{
	const struct plan *plan = &latest_of(d)->plan;

	for (size_t i = 0; i < d->n_children; i++)
		d->child[i].proc.backoff = (struct backoff){
			.delay_usec = (uint64_t)plan->restart_delay_nsec / 1000,
			.max_usec = (uint64_t)plan->restart_max_delay_nsec / 1000,
			.next_usec = d->child[i].proc.backoff.next_usec,
		};
}

void daemon_take(struct daemon *d, struct generation *next)
{
	generation_free(d->next);
	d->next = next;
	situation_hold(situation_of(d), daemon_hold_usec(d));
	daemon_set_pauses(d);
	for (size_t i = 0; i < d->n_children; i++) {
		struct proc *proc = &d->child[i].proc;

		/* What kept it from starting may be what was mended. */
		if (proc->state == PROC_BACKOFF && !daemon_child_is_of(d, (enum child_id)i, next))
			proc_event(proc, PROC_EV_START);
	}
	d->ops->wake(d);
}

bool daemon_child_is_of(const struct daemon *d, enum child_id id, const struct generation *g)
{
	return g && memcmp(d->carry.child[id].digest, g->digest[id], sizeof(g->digest[id])) == 0;
}

void daemon_renew_children(struct daemon *d)
{
	if (situation_of(d)->wish != WISH_RUN)
		return;
	for (enum child_id id = 0; id < d->n_children; id++) {
		const struct proc *proc = proc_of(d, id);

		if (!child_lives(d, id) || proc->state == PROC_RESTARTING ||
		    daemon_child_is_of(d, id, latest_of(d)))
			continue;
		proc_event(proc_of(d, id), PROC_EV_RESTART);
		if (id == CHILD_KUMA_DP)
			daemon_drain(d);
	}
}

/* Whose rules are in; while that is not known, whose may be. */
static const struct generation *owner_of_rules(const struct daemon *d)
{
	return d->applied ? d->applied : d->current;
}

/* Whether what is in is what the next one would put in. */
static bool same_rules(const struct daemon *d)
{
	const struct generation *owner = owner_of_rules(d);
	const struct situation *s = &d->carry.situation;

	return s->applied != LEVEL_UNKNOWN && s->applied_generation == owner->number &&
	       generation_same_rules(owner, d->next);
}

static bool can_adopt(const struct daemon *d)
{
	const struct situation *s = &d->carry.situation;

	if (s->wish != WISH_RUN)
		return false;
	if (!s->served || s->applied == LEVEL_NONE)
		return true;
	if (!daemon_child_is_of(d, CHILD_KUMA_DP, d->next))
		return false;
	return s->proxy_serving || same_rules(d);
}

static void take_place(struct daemon *d)
{
	struct situation *s = situation_of(d);

	/* Until the rules are in, those of the one that they are of count. */
	if (d->applied || s->applied == LEVEL_NONE)
		generation_free(d->current);
	else
		d->applied = d->current;
	d->current = take_ptr(d->next);
	s->generation = d->current->number;
}

/* Where what is in is what the next one would have put in, nothing has to be done for it. */
static void inherit_rules(struct daemon *d)
{
	struct situation *s = situation_of(d);

	generation_free(take_ptr(d->applied));
	s->applied_generation = s->generation;
}

static void redirect_dns(struct situation *s, const struct plan *plan)
{
	bool dns = plan_redirects_dns(plan);

	/* Nobody has asked the DNS port yet where nothing was redirected to it. */
	if (dns && !s->dns_redirected)
		s->dns_serving = false;
	s->dns_redirected = dns;
}

/* A kuma-dp that is to be replaced gets its time from now on; one that stays has had a part of it. */
static void renew_deadline(struct daemon *d)
{
	const struct carried_process *kuma_dp = &d->carry.child[CHILD_KUMA_DP];
	bool stays = kuma_dp->pid > 0 && memcmp(kuma_dp->digest, d->current->digest[CHILD_KUMA_DP],
						sizeof(kuma_dp->digest)) == 0;

	if (!stays)
		daemon_give_time(d, situation_of(d)->now_usec);
	else if (!refusal_start_is_timed(&d->control_plane.refusal))
		daemon_give_time(d, kuma_dp->started_usec);
}

void daemon_adopt(struct daemon *d)
{
	struct situation *s = situation_of(d);
	enum log_level before = d->current->options.loaded.config.log_level, after;
	bool same;

	if (!d->next || !can_adopt(d))
		return;
	same = same_rules(d);
	after = d->next->options.loaded.config.log_level;
	take_place(d);
	if (same || s->applied == LEVEL_NONE)
		inherit_rules(d);
	redirect_dns(s, &d->current->plan);
	if (!s->served)
		renew_deadline(d);
	/* What an operator has set by hand stays, unless the setting was changed. */
	if (before != after)
		log_set_level(after);
	d->ops->follow(d);
	log_notice("%s: %s (generation %u)", d->current->cause,
		   same ? "the rules stay" : "the rules follow", d->current->number);
}
