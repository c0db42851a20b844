/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The loop's one step: once per turn of the loop, after the turn's events. */

#include <assert.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"

/* The next generation's rules may need another proxy than the last one did: they wait until one
 * serves. Where rules of the current one are in, it stays for as long. */
static void adopt(struct daemon *d)
{
	struct situation *s = situation_of(d);
	const struct plan *plan;
	bool dns;

	if (!d->next || s->wish != WISH_RUN || !s->proxy_serving)
		return;
	if (d->applied || s->applied == LEVEL_NONE)
		generation_free(d->current);
	else
		d->applied = d->current;
	d->current = take_ptr(d->next);
	s->generation = d->current->number;
	plan = &d->current->plan;
	dns = plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns;
	/* Nobody has asked the DNS port yet where nothing was redirected to it. */
	if (dns && !s->dns_redirected)
		s->dns_serving = false;
	s->dns_redirected = dns;
	log_notice("The name servers in %s have changed: the rules follow (generation %u)",
		   d->current->options.loaded.config.redirect.dns.resolv_config_path,
		   d->current->number);
}

/* What a killed predecessor left has gone by now: the children need the plain network. */
static void begin(struct daemon *d)
{
	d->begun = true;
	for (size_t i = 0; i < d->n_children && situation_of(d)->wish == WISH_RUN; i++)
		proc_event(&d->child[i].proc, PROC_EV_START);
	daemon_probe(d);
}

/* While stopping something has to happen by itself that leads on: a timer, or the end of a child. */
static bool something_is_pending(const struct daemon *d)
{
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		if (child_lives(d, (enum child_id)i) && d->child[i].proc.state == PROC_STOPPING)
			return true;
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		if (d->armed[i])
			return true;
	return d->stop.ended;
}

void daemon_update(struct daemon *d)
{
	struct situation *s = situation_of(d);

	s->now_usec = d->ops->now(d);
	s->proxy_alive = child_lives(d, CHILD_KUMA_DP);
	daemon_give_up_overdue(d);
	adopt(d);
	daemon_look(d);
	daemon_apply(d);
	if (!d->begun && s->wish == WISH_RUN)
		begin(d);
	if (s->wish == WISH_STOP)
		daemon_advance_stop(d);
	say_phase(d);
	daemon_token_look(d);
	daemon_arm(d, TIMER_DEADLINE, next_deadline(s));
	assert(s->wish == WISH_RUN || something_is_pending(d));
}
