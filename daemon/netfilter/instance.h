/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One tproxyd per network namespace: who works on this host's rules, daemon or one-shot verb, holds a
 * lock that root alone can take. It is a byte of a file, the one whose number is the namespace's inode;
 * who has another /run (a container with the host's network, say) has another file.
 */

#include "common/base/attr.h"
#include "common/base/error.h"

/* Makes the directory of the lock and of the daemon's record where it is missing: in the unit's sandbox
 * it cannot be made. */
int instance_prepare(struct error *err) _must_check_;

/* Takes the lock; waits a second for one who has it only for a moment. Returns 0 with a descriptor
 * (owned by the caller: closing it, an execve(), the end of the process and the closing of any other
 * descriptor of that file in this process give the lock back), -EBUSY where another process has it,
 * or another negative errno. */
int instance_acquire(int *ret_fd, struct error *err) _must_check_;
