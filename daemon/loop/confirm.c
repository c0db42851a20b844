/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * safety.confirm: whoever switches the redirect on from afar says that the host can still be reached,
 * or the redirect is released again.
 */

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

void daemon_ask_confirmation(struct daemon *d)
{
	uint64_t usec = (uint64_t)d->current->plan.confirm_nsec / 1000;

	if (usec == 0)
		return;
	situation_of(d)->confirm_until_usec = d->ops->now(d) + usec;
	log_event(LOG_LEVEL_NOTICE, MSG_CONFIRM_ASKED, NULL,
		  "The redirect is released again in %llu s unless \"tproxyd confirm\" is run",
		  (unsigned long long)daemon_confirm_sec(d));
}

/* Rounded up: 0 only when it is over. */
uint64_t daemon_confirm_sec(struct daemon *d)
{
	uint64_t until = situation_of(d)->confirm_until_usec, now = d->ops->now(d);

	return until == USEC_NEVER || until <= now ? 0 : (until - now + 999999) / 1000000;
}

json_t *confirm_answer(struct daemon *d)
{
	struct situation *s = situation_of(d);

	if (s->wish == WISH_STOP)
		return json_refusal("tproxyd is stopping");
	if (!d->carry.ready)
		return json_refusal("nothing is redirected yet: confirm when the start is done");
	if (s->confirm_until_usec == USEC_NEVER)
		return json_pack("{s:b,s:s}", "ok", 1, "confirmation", "none is waited for");
	log_event(LOG_LEVEL_NOTICE, MSG_CONFIRMED, NULL,
		  s->now_usec < s->confirm_until_usec
			  ? "The redirect is confirmed: it stays"
			  : "The redirect is confirmed after all: it comes back");
	s->confirm_until_usec = USEC_NEVER;
	d->carry.said = PHASE_COUNT; /* the status was about it: it is said anew */
	d->ops->wake(d);
	return json_pack("{s:b,s:s}", "ok", 1, "confirmation", "given: the redirect stays");
}

json_t *confirm_status(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	bool waits = s->confirm_until_usec != USEC_NEVER;

	return json_pack("{s:s,s:I}", "state",
			 unconfirmed(s) ? "missing"
			 : waits        ? "awaited"
					: "none",
			 "seconds-left", (json_int_t)daemon_confirm_sec(d));
}
