/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Rules that are held without end outlive the daemon where they live by a descriptor: systemd has a copy
 * of it, for the daemon that it starts next, and gives it up when it starts none. The record claims so
 * before it is so, and until it is so no more.
 */

#include "daemon/loop/stored.h"
#include "daemon/operator/log.h"

static bool holds_without_end(const struct daemon *d)
{
	return d->redirect.backend->owns && daemon_hold_usec(d) == USEC_NEVER;
}

void daemon_take_stored(struct daemon *d, int fd)
{
	struct situation *s = situation_of(d);
	struct record *record = &d->redirect.record;
	enum level level = record->stored;
	struct error err = { 0 };

	if (fd >= 0 && level > LEVEL_DRAIN && record->n > 0 && holds_without_end(d)) {
		redirect_adopt(&d->redirect, fd);
		situation_inherited(s, level, d->ops->now(d));
		log_notice("Going on with the rules of the last run, which hold the traffic until "
			   "the proxy serves");
		return;
	}
	record->stored = LEVEL_NONE;
	if (fd < 0)
		return;
	if (redirect_release(&d->redirect, fd, &err) != 0)
		log_error(&err, "Cannot take out the rules of the last run");
	d->ops->store(d, false);
}

/* The level at which what is in is to outlive us; LEVEL_NONE: it is not to. */
static enum level level_to_store(const struct daemon *d)
{
	const struct netfilter_channel *channel = &d->redirect.channel;
	const struct situation *s = &d->carry.situation;

	if (!d->stores || !holds_without_end(d) || !channel->owned || channel->fd < 0)
		return LEVEL_NONE;
	if (s->applied == LEVEL_UNKNOWN)
		return d->redirect.record.stored;
	return s->applied > LEVEL_DRAIN ? s->applied : LEVEL_NONE;
}

void daemon_store(struct daemon *d)
{
	struct record *record = &d->redirect.record;
	enum level before = record->stored, level = level_to_store(d);
	struct error err = { 0 };

	if (level == before)
		return;
	if (level == LEVEL_NONE)
		d->ops->store(d, false);
	record->stored = level;
	if (record_save(record, &err) == 0) {
		d->told_unstored = false;
		if (before == LEVEL_NONE)
			d->ops->store(d, true);
		return;
	}
	/* A claim too much does no harm. */
	if (level == LEVEL_NONE)
		return;
	record->stored = before;
	if (!d->told_unstored)
		log_error(&err, "The rules do not outlive this process");
	d->told_unstored = true;
}
