/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Brings the kernel to the wanted level; what did not work is tried again and told. */

#include <ctype.h>

#include "common/base/utf8.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"

#define RETRY_USEC        ((uint64_t)20 * 1000) /* while stopping, and while the rules are busy */
#define RETRY_FAILED_USEC ((uint64_t)1000 * 1000)
#define TELL_USEC         ((uint64_t)1000 * 1000) /* what goes on is told once in this time */

static void try_again(struct daemon *d, uint64_t usec)
{
	const struct situation *s = situation_of(d);

	if (d->trouble.since_usec == 0)
		d->trouble.since_usec = s->now_usec;
	d->trouble.again_usec = s->now_usec + usec;
	daemon_arm(d, TIMER_RETRY, d->trouble.again_usec);
}

/* Whether it is time to tell that it does not work: first_usec after the first of several tries, then
 * once a second. */
static bool time_to_tell(struct daemon *d, uint64_t first_usec)
{
	uint64_t now = situation_of(d)->now_usec, told = d->trouble.told_usec;
	uint64_t since = d->trouble.since_usec ? d->trouble.since_usec : now;

	if (now < (told ? told + TELL_USEC : since + first_usec))
		return false;
	d->trouble.told_usec = now;
	return true;
}

/* What is in is what is wanted. */
static void end_trouble(struct daemon *d)
{
	/* The status was about it: it is said anew. */
	if (d->trouble.why[0])
		d->carry.said = PHASE_COUNT;
	if (d->trouble.since_usec != 0)
		daemon_arm(d, TIMER_RETRY, USEC_NEVER);
	d->trouble = (struct trouble){ 0 };
}

static void applied(struct daemon *d, struct generation *generation, enum level level)
{
	struct situation *s = situation_of(d);
	enum level before = s->applied;
	bool again = before == level && s->applied_generation == generation->number;

	s->applied = level;
	s->applied_generation = generation->number;
	if (generation == d->current && d->applied)
		d->ops->keep_reserved(d, &generation->plan);
	if (generation == d->current || level == LEVEL_NONE)
		generation_free(take_ptr(d->applied));
	end_trouble(d);
	if (!again)
		say_level(d, before);
	daemon_repaired(d);
	if (level != LEVEL_FULL || d->carry.ready)
		return;
	/* It blocks, so only the first time: before READY=1. */
	(void)d->ops->take_over(NULL);
	daemon_ask_confirmation(d);
}

/* A second after the first try the operator is told, and the service manager asked for time. A
 * start has its deadline all the same. */
static void others_busy(struct daemon *d, const struct error *err)
{
	const struct situation *s = situation_of(d);

	if (time_to_tell(d, TELL_USEC)) {
		if (!d->trouble.why[0])
			log_event(LOG_LEVEL_WARNING, MSG_LOCK_CONTENTION, NULL,
				  "%c%s for more than a second",
				  toupper((unsigned char)err->text[0]), err->text + 1);
		utf8_print(d->trouble.why, sizeof(d->trouble.why), "%s", err->text);
		if (!(d->carry.ready && s->wish == WISH_RUN))
			notify_extend(EXTEND_USEC);
	}
	if (s->wish == WISH_RUN && !d->carry.ready &&
	    s->now_usec - d->carry.started_usec >= plan_readiness_usec(&d->current->plan))
		daemon_fail(d, NULL, "Not ready in time: %s", err->text);
	d->trouble.busy = true;
	try_again(d, RETRY_USEC);
}

static void apply_failed(struct daemon *d, const struct generation *generation, enum level wanted,
			 const struct error *err)
{
	struct situation *s = situation_of(d);

	/* While stopping it is tried again many times a second. */
	if (time_to_tell(d, 0) || s->wish == WISH_RUN)
		log_error(err, "Cannot bring the rules to level %s", level_name(wanted));
	/* Rules that others have changed are as they were. */
	if (wanted != s->applied || generation->number != s->applied_generation)
		situation_not_applied(s, wanted);
	d->trouble.busy = false;
	utf8_print(d->trouble.why, sizeof(d->trouble.why), "%s", err->text);
	if (s->wish == WISH_RUN && !d->carry.ready)
		daemon_fail(d, NULL, "%s", err->text);
	try_again(d, s->wish == WISH_RUN ? RETRY_FAILED_USEC : RETRY_USEC);
}

/* While no proxy serves that the rules of the current generation fit, those of the applied one are
 * changed. */
static struct generation *generation_to_apply(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	return d->applied && (s->wish == WISH_STOP || !s->proxy_serving) ? d->applied : d->current;
}

void daemon_apply(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	enum level wanted = wanted_level(s);
	struct generation *generation = generation_to_apply(d);
	struct netfilter_report report = { 0 };
	struct netfilter_wish wish;
	struct error err = { 0 };
	int r;

	if (!must_apply(s)) {
		end_trouble(d);
		return;
	}
	if (wanted == d->trouble.wanted && s->now_usec < d->trouble.again_usec)
		return;
	d->trouble.wanted = wanted;
	/* Not those of a predecessor's rules: which of them the proxy shares shows when it has them. */
	if (wanted != LEVEL_NONE && d->begun)
		d->ops->reserve(d, &generation->plan);
	wish = daemon_wish(d, generation, wanted);
	r = redirect_apply(&d->redirect, &wish, &report, &err);
	if (r == 0)
		applied(d, generation, wanted);
	else if (r == NETFILTER_BUSY)
		others_busy(d, &err);
	else
		apply_failed(d, generation, wanted, &err);
	for (size_t i = 0; i < report.left.n; i++)
		log_warning("%s", report.left.items[i]);
	netfilter_report_done(&report);
}
