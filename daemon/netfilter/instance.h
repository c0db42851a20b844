/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One tproxyd per network namespace: an abstract AF_UNIX name (unix(7): abstract names belong to
 * the network namespace) is bound as long as a daemon or a one-shot verb works on this host's
 * rules.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Binds the name. Returns 0 with a descriptor (owned by the caller; closing it gives the name
 * back), -EBUSY where another has it (*ret_roots, where it is not NULL: a process of root's for
 * sure), or another negative errno. */
int instance_acquire(int *ret_fd, bool *ret_roots, struct error *err) _must_check_;

/* Meets who asks for the holder, as long as the loop runs (fd is borrowed so long): a queue that nobody empties is full
 * after two of them, and then nobody learns the pid any more. */
int instance_serve(sd_event *event, int fd, struct error *err) _must_check_;
