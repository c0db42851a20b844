/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules that outlive the daemon, for the one that is started next. */

#include "daemon/loop/state.h"

#define RULES_NAME "nftables" /* of what they live by, in systemd's store */

static inline bool daemon_is_stored(const struct daemon *d)
{
	return d->redirect.record.stored != LEVEL_NONE;
}

/* From here on everything is undone, but what is kept for the next one; an apply that fails has its whole
 * time again. */
static inline void daemon_wish_stop(struct daemon *d, bool kept)
{
	d->carry.situation.wish = WISH_STOP;
	d->carry.situation.kept = kept;
	d->trouble.since_usec = d->trouble.again_usec = d->trouble.told_usec = 0;
}

/* What a predecessor has stored (-1: nothing) is gone on with, or taken out. */
void daemon_take_stored(struct daemon *d, int fd);

/* The part of the step that stores what is in, and takes it back. */
void daemon_store(struct daemon *d);
