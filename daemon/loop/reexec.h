/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's upgrade: reexec.c tries the new binary and executes it, handover.c says what it has to
 * know, and successor.c is the new one, which takes it. For the files of this folder.
 */

#include "common/supervise/handover.h"
#include "daemon/loop/state.h"

/* handover.c: what a successor has to know, as facts of common/supervise/handover.h; the successor takes
 * them between daemon_add_child() and daemon_resume(), in place of daemon_start(): by then the
 * generations have the roles that they had, and children and timers go on. */
struct roles {
	unsigned current, applied, next, former; /* numbers of generations; 0: nobody's */
};

void daemon_add_facts(const struct daemon *d, struct strbuf *out);
int daemon_take_facts(struct daemon *d, struct handover *handover, struct error *err) _must_check_;
int daemon_take_roles(struct handover *handover, struct roles *ret, struct error *err) _must_check_;
int daemon_resume(struct daemon *d, struct error *err) _must_check_;

/* Also there: all of it, with what the generations were made of, and with descriptors, which cross an
 * execve() from then on. */
#define GENERATIONS_MAX 4 /* the current one, the one applied, the next, the former one */
void daemon_add_handover(const struct daemon *d, struct strbuf *out);

/* reexec.c: replaces this binary by the one that is installed. Returns whether the answer comes later, by
 * ops->reply() or from the successor; else *ret is it. Ends one that is being tried. Finds out where we
 * were executed from. */
bool daemon_reexec(struct daemon *d, json_t **ret);
void daemon_forget_candidate(struct daemon *d);
void daemon_find_program(struct daemon *d);

/* Tells whoever asked that we go on, and why. */
void daemon_not_replaced(struct daemon *d, const char *why);

/* setup.c: the parts of the real daemon, which successor.c makes of a handover (else NULL). Those that
 * take a control socket and a relay over only look whether they could where there is no event loop. */
#define RELAY_KUMA_DP  "kuma-dp.output."
#define RELAY_CORE_DNS "coredns.output."

int daemon_build(struct daemon *d, struct handover *from, struct error *err) _must_check_;
int daemon_take_control(struct daemon *d, struct handover *from, struct error *err) _must_check_;
int daemon_take_relay(struct daemon *d, enum child_id id, struct handover *from, struct error *err)
	_must_check_;
