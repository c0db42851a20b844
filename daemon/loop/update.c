/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The loop's one step: once per turn of the loop, after the turn's events. */

#include <assert.h>

#include "daemon/loop/state.h"
#include "daemon/loop/stored.h"
#include "daemon/operator/log.h"

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
	uint64_t still_until, deadline;

	s->now_usec = d->ops->now(d);
	s->proxy_alive = child_lives(d, CHILD_KUMA_DP);
	daemon_give_up_overdue(d);
	still_until = daemon_keep_envoy_still(d);
	daemon_confirm_look(d);
	daemon_renew_children(d);
	daemon_adopt(d);
	daemon_look(d);
	daemon_apply(d);
	daemon_store(d);
	if (!d->begun && s->wish == WISH_RUN)
		begin(d);
	if (s->wish == WISH_STOP)
		daemon_advance_stop(d);
	daemon_reload_look(d);
	say_phase(d);
	daemon_token_look(d);
	deadline = next_deadline(s);
	daemon_arm(d, TIMER_DEADLINE, still_until < deadline ? still_until : deadline);
	assert(s->wish == WISH_RUN || something_is_pending(d));
}
