/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The lock that iptables and its relatives take around every change: flock() on /run/xtables.lock
 * or $XTABLES_LOCKFILE. libiptc does not take it, and without it updates of others are lost
 * silently.
 */

#include "common/base/attr.h"
#include "common/base/error.h"

/* Its path. */
const char *xtables_lock_file(void);

/* Takes the lock without waiting. Returns 0 with the descriptor that holds it (owned by the caller,
 * closing it unlocks), NETFILTER_BUSY with the sentence when another has it, or a negative errno. */
int xtables_lock(int *ret_fd, struct error *err) _must_check_;

/* Makes the file: the sandboxed daemon can lock it but not make it. It stays when tproxyd ends:
 * iptables makes it too, and a lock file that is removed locks nobody out. */
int xtables_lock_prepare(struct error *err) _must_check_;
