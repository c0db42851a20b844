/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a running daemon has to do to come from one generation to the next: the least disturbing that
 * makes the next one true. Rules are compared by whoever has them (ruleset_equal()).
 */

#include <stdbool.h>

#include "common/base/array.h"
#include "common/base/strbuf.h"
#include "common/plan/plan.h"
#include "common/supervise/carry.h"
#include "common/supervise/command.h"

/* A bit each; 0: there is nothing to do. */
enum change_need {
	CHANGE_RULES = 1 << 0,
	CHANGE_KUMA_DP = 1 << 1,  /* kuma-dp has to be started again */
	CHANGE_CORE_DNS = 1 << 2, /* our own coredns */
	CHANGE_DAEMON = 1 << 3,   /* times and the like of the daemon itself */
};

/* One of the two. */
struct change_side {
	const struct plan *plan;
	const struct command *command; /* CHILD_COUNT of them */
};

struct change {
	unsigned needs;      /* enum change_need */
	const char *refusal; /* why only a restart of the service can do it; NULL: it can be done */
	struct string_list words; /* what differs that no setting says: "the token" */
};

/* Decides. What it returns points into arena and into the two sides. */
void change_decide(struct arena *arena, const struct change_side *former,
		   const struct change_side *next, bool same_rules, struct change *ret);

/* "the rules change, kuma-dp restarts", or "nothing changes". */
void change_print(const struct change *change, struct strbuf *out);
