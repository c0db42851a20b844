/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The end of processes that are ours but not our children any more: what kuma-dp started and did
 * not take with it. A number alone is never killed: each process is opened as a pidfd, looked at
 * again, and only then signalled.
 *
 * Which processes are ours: where the service manager has started this very process (it says so in
 * SYSTEMD_EXEC_PID), those in its control group, which nobody else's processes share. Everywhere
 * else (a shell, a container without systemd) a control group proves nothing, and only our
 * descendants count; sweep_prepare() makes us the one that inherits their orphans.
 */

#include <stdint.h>
#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Rounds after which what is still there will not end: two seconds, with pauses that grow from 1 to
 * 50 ms. */
#define SWEEP_ROUNDS_MAX 65
uint64_t sweep_pause_usec(int round);

/* To be called once, before the first child. */
int sweep_prepare(struct error *err) _must_check_;

/* Kills those that are there, run as uid (UID 0 is refused, with our own only descendants count) and
 * are of that session, or of any where it is 0; and does not wait for their end: to be called again,
 * after a pause, until it returns 0. Returns how many there were, or a negative errno; in a control
 * group of version 1 the last moment of one that is being ended does not count. Children
 * started by spawn() are killed too, but left to their owner to be reaped. A session lasts longer
 * than the child that led it, and its number is not given away before it is empty. */
int sweep_round(uid_t uid, pid_t session, struct error *err) _must_check_;

/* Kills all processes of a session, whoever they run as, and waits up to two seconds for their end.
 * The caller guarantees that it is the session of its own child, not reaped yet. */
int sweep_session(pid_t sid, struct error *err);
