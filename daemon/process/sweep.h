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

#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* To be called once, before the first child. */
int sweep_prepare(struct error *err) _must_check_;

/* Kills all of ours whose real user is uid, until none is left. Returns how many there were, or a
 * negative errno when some would not end within two seconds, for which it may block. UID 0 is
 * refused; with our own uid only descendants count. Children started by spawn() are killed too,
 * but left to their owner to be reaped. */
int sweep_uid(uid_t uid, struct error *err) _must_check_;

/* The same for all processes of a session. The caller guarantees that it is the session's own
 * child, not reaped yet. */
int sweep_session(pid_t sid, struct error *err);
