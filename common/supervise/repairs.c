/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/repairs.h"

#define SECOND     ((uint64_t)1000 * 1000)
#define GAP_USEC   (SECOND / 4)
#define BOUT_USEC  (3 * SECOND)  /* repairs of so short a time are one bout */
#define CALM_USEC  (60 * SECOND) /* without a repair, and all is forgotten */
#define PAUSE_USEC SECOND        /* the first one of a fight; each is twice the last */
#define PAUSE_MAX  (30 * SECOND)

uint64_t repairs_next(const struct repairs *repairs)
{
	uint64_t pause = repairs->pause_usec ? repairs->pause_usec : GAP_USEC;

	return repairs->n > 0 ? repairs->last_usec + pause : 0;
}

static bool calm(const struct repairs *repairs, uint64_t now_usec)
{
	return now_usec - repairs->last_usec >= CALM_USEC;
}

bool repairs_fight(const struct repairs *repairs, uint64_t now_usec)
{
	return repairs->pause_usec > 0 && !calm(repairs, now_usec);
}

static void begin_bout(struct repairs *repairs, uint64_t now_usec)
{
	for (unsigned i = REPAIR_BOUTS - 1; i > 0; i--)
		repairs->bout_usec[i] = repairs->bout_usec[i - 1];
	repairs->bout_usec[0] = now_usec;
}

enum repair_news repairs_made(struct repairs *repairs, uint64_t now_usec)
{
	uint64_t oldest;

	if (calm(repairs, now_usec))
		*repairs = (struct repairs){ .n = repairs->n };
	repairs->n++;
	repairs->last_usec = now_usec;
	if (repairs->pause_usec > 0) {
		repairs->pause_usec *= 2;
		if (repairs->pause_usec > PAUSE_MAX)
			repairs->pause_usec = PAUSE_MAX;
		return REPAIR_AGAIN;
	}
	if (repairs->bout_usec[0] == 0 || now_usec - repairs->bout_usec[0] >= BOUT_USEC)
		begin_bout(repairs, now_usec);
	oldest = repairs->bout_usec[REPAIR_BOUTS - 1];
	if (oldest == 0 || now_usec - oldest >= CALM_USEC)
		return REPAIR_MADE;
	repairs->pause_usec = PAUSE_USEC;
	return REPAIR_FIGHT;
}
