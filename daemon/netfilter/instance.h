/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One tproxyd per network namespace: an abstract AF_UNIX name (unix(7): abstract names belong to
 * the network namespace) is bound as long as a daemon or a one-shot verb works on this host's
 * rules.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Binds the name. Returns 0 with a descriptor (owned by the caller; closing it gives the name
 * back), INSTANCE_TAKEN with the holder's pid and uid, or a negative errno. */
#define INSTANCE_TAKEN 1
int instance_acquire(int *ret_fd, pid_t *ret_pid, uid_t *ret_uid, struct error *err) _must_check_;

/* Meets who asks for the holder, as long as the loop runs: a queue that nobody empties is full
 * after two of them, and then nobody learns the pid any more. */
int instance_serve(sd_event *event, int fd, struct error *err) _must_check_;

/* The sentence for INSTANCE_TAKEN. Returns -EBUSY. */
int instance_refuse(pid_t pid, uid_t uid, struct error *err);
