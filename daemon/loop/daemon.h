/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon: one thread, one event loop. Events change facts and wake the loop's one step, which
 * runs once per turn, after all of the turn's events: it asks the questions of
 * common/supervise/situation.h and acts on the answers. What is inside is in state.h.
 */

#include "common/base/cleanup.h"
#include "common/base/error.h"

struct daemon;
struct generation;

/* Prepares everything that needs no child: event loop, signals, record, work directory, control
 * socket. Takes the generation, also when it fails. SIGTERM, SIGINT, SIGHUP and SIGCHLD must be
 * blocked. */
int daemon_new(struct generation *generation, struct daemon **ret, struct error *err) _must_check_;

/* Starts the children and runs until everything is undone again; serves the instance's socket
 * (borrowed). Returns the exit status, or a negative errno when the loop itself failed. */
int daemon_run(struct daemon *d, struct error *err) _must_check_;

void daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free, NULL);
