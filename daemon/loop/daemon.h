/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon: one thread, one event loop. Events change facts and wake the loop's one step, which
 * runs once per turn, after all of the turn's events: it asks the questions of
 * common/supervise/situation.h and acts on the answers. What is inside is in state.h.
 */

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"

struct daemon;
struct generation;

/* Prepares everything that needs no child: event loop, signals, record, work directory, control
 * socket. Takes the generation, also when it fails; borrows the instance's lock for the daemon's life.
 * SIGTERM, SIGINT, SIGHUP and SIGCHLD must be blocked. */
int daemon_new(struct generation *generation, int instance, struct daemon **ret, struct error *err)
	_must_check_;

/* The same for a binary that takes the place of another one in the same process: from what that has
 * handed over, with its descriptors, children and rules. Until it has said READY=1 nothing is closed or
 * used up, and where it fails before that one is given the place back, if it can be. */
struct daemon_heir {
	int argc;
	char **argv;      /* as the former one's: argv[0] is the verb */
	const char *text; /* of common/supervise/handover.h */
	size_t len;
	const char *why; /* it is the former one's own, back in its place: who could not take it */
};

int daemon_inherit(const struct daemon_heir *given, struct daemon **ret, struct error *err)
	_must_check_;

/* Where it cannot: gives the place back because of this error. Returns where nobody can be given it: the rules
 * are out then, and the proxy may end. */
void daemon_give_back(const struct error *err);

/* Whether it could; without a descriptor or a child of its own. */
int daemon_could_inherit(const struct daemon_heir *given, struct error *err) _must_check_;

/* How the binary that is tried says so. How the one that is executed knows its state is in
 * daemon/os/retreat.h. */
#define REEXEC_READY "tproxyd-ready "
#define REEXEC_CHECK "--check-state"

/* Starts the children and runs until everything is undone again; serves the instance's socket
 * (borrowed). Returns the exit status, or a negative errno when the loop itself failed. */
int daemon_run(struct daemon *d, struct error *err) _must_check_;

void daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free, NULL);
