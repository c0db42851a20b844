/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a daemon that replaces itself by another binary has to hand over, and nothing else. The
 * running daemon keeps these facts here and nowhere else, so that what is handed over is what is
 * true. (What is in the kernel has a file of its own: daemon/netfilter/record.h.)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/supervise/handover.h"
#include "common/supervise/situation.h"

enum child_id {
	CHILD_KUMA_DP,
	/* only where we run it ourselves */
	CHILD_CORE_DNS,
	CHILD_COUNT,
};

/* A process that there is, or the last one that there was. */
struct carried_process {
	pid_t pid; /* 0: none now */
	/* clock ticks after boot, field 22 of proc_pid_stat(5): tells it from a later one with its
	 * number; 0: not known */
	uint64_t start_ticks;
	uint64_t started_usec; /* CLOCK_MONOTONIC */
	unsigned starts;       /* how often one was started */
	uint64_t digest[2];    /* of what it was started with, by command_digest() */
};

struct carry {
	/* wish, level, generation, hold and start deadlines; its now_usec is not handed over */
	struct situation situation;
	enum phase said;
	bool ready;            /* READY=1 was sent */
	uint64_t started_usec; /* CLOCK_MONOTONIC */
	struct carried_process child[CHILD_COUNT];
};

/* As facts of a handover, in common/supervise/handover.h; enumerators keep their numbers from version
 * to version. */
void carry_print(const struct carry *carry, struct strbuf *out);

/* Takes what carry_print() has added. A fact that is missing or impossible is an error that names it;
 * ret is then untouched. */
int carry_take(struct handover *handover, struct carry *ret, struct error *err) _must_check_;
