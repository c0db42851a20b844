/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * safety.confirm: whoever switches the redirect on from afar says that the host can still be reached,
 * or the redirect is released again. After a reload the former generation comes back.
 */

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

void daemon_ask_confirmation(struct daemon *d)
{
	uint64_t usec = (uint64_t)d->current->plan.confirm_nsec / 1000;

	/* Once: what is put right again before READY=1 does not begin anew. */
	if (usec == 0 || situation_of(d)->confirm_until_usec != USEC_NEVER)
		return;
	situation_of(d)->confirm_until_usec = d->ops->now(d) + usec;
	log_event(LOG_LEVEL_NOTICE, MSG_CONFIRM_ASKED, NULL,
		  "The redirect is released again in %llu s unless \"tproxyd confirm\" is run",
		  (unsigned long long)daemon_confirm_sec(d));
}

void daemon_guard_reload(struct daemon *d, struct generation *former, uint64_t usec)
{
	/* After several reloads what was confirmed last comes back. */
	if (!d->confirm.former) {
		former->references++;
		d->confirm.former = former;
	}
	d->confirm.usec = usec;
	d->confirm.until_usec = USEC_NEVER;
	daemon_arm(d, TIMER_CONFIRM, USEC_NEVER);
}

void daemon_reload_ended(struct daemon *d)
{
	if (!d->confirm.former || d->confirm.until_usec != USEC_NEVER)
		return;
	d->confirm.until_usec = d->ops->now(d) + d->confirm.usec;
	daemon_arm(d, TIMER_CONFIRM, d->confirm.until_usec);
	log_event(LOG_LEVEL_NOTICE, MSG_CONFIRM_ASKED, NULL,
		  "The former configuration comes back in %llu s unless \"tproxyd confirm\" is run",
		  (unsigned long long)daemon_confirm_sec(d));
}

static void forget_former(struct daemon *d)
{
	generation_free(take_ptr(d->confirm.former));
	daemon_arm(d, TIMER_CONFIRM, USEC_NEVER);
}

void daemon_confirm_look(struct daemon *d)
{
	struct generation *former = d->confirm.former, *next;

	if (!former || situation_of(d)->wish != WISH_RUN ||
	    situation_of(d)->now_usec < d->confirm.until_usec)
		return;
	next = generation_repeat(former, latest_of(d)->number + 1,
				 "Nobody has confirmed the reload");
	forget_former(d);
	if (!next) {
		log_error(NULL, "Cannot go back to the former configuration: no memory");
		return;
	}
	log_event(LOG_LEVEL_WARNING, MSG_RELOAD_UNCONFIRMED, NULL,
		  "Nobody has confirmed the reload in time: the former configuration comes back; "
		  "its files are still the new ones");
	d->carry.said = PHASE_COUNT; /* the status was about it */
	daemon_take(d, next);
}

/* When what is not confirmed is undone; USEC_NEVER: nothing is waited for. */
static uint64_t confirm_until(struct daemon *d)
{
	uint64_t start = situation_of(d)->confirm_until_usec;

	if (start != USEC_NEVER || !d->confirm.former)
		return start;
	return d->confirm.until_usec;
}

/* Rounded up: 0 only when it is over. */
uint64_t daemon_confirm_sec(struct daemon *d)
{
	return daemon_seconds_until(d, confirm_until(d));
}

json_t *confirm_answer(struct daemon *d)
{
	struct situation *s = situation_of(d);

	if (s->wish == WISH_STOP)
		return json_refusal("tproxyd is stopping");
	if (!d->carry.ready && s->confirm_until_usec == USEC_NEVER)
		return json_refusal("nothing is redirected yet: confirm when the start is done");
	if (s->confirm_until_usec == USEC_NEVER && !d->confirm.former)
		return json_pack("{s:b,s:s}", "ok", 1, "confirmation", "none is waited for");
	log_event(LOG_LEVEL_NOTICE, MSG_CONFIRMED, NULL,
		  unconfirmed(s) ? "The redirect is confirmed after all: it comes back"
				 : "The redirect is confirmed: it stays");
	forget_former(d);
	s->confirm_until_usec = USEC_NEVER;
	d->carry.said = PHASE_COUNT; /* the status was about it: it is said anew */
	d->ops->wake(d);
	return json_pack("{s:b,s:s}", "ok", 1, "confirmation", "given: the redirect stays");
}

json_t *confirm_status(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	bool waits = confirm_until(d) != USEC_NEVER;

	return json_pack("{s:s,s:I}", "state",
			 unconfirmed(s) ? "missing"
			 : waits        ? "awaited"
					: "none",
			 "seconds-left", (json_int_t)daemon_confirm_sec(d));
}
