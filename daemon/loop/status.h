/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The parts of the answer to `status`, for status.c alone; their members are described in
 * packaging/status.schema.json. Each adds its own to the answer and returns 0, or -1 where memory is
 * exhausted. */

#include <jansson.h>
#include <stdint.h>

#include "common/base/attr.h"

struct daemon;

/* status_rules.c: "rules" and "traffic", as the kernel has them now, and "open-connections". */
int status_add_rules(json_t *answer, struct daemon *d) _must_check_;

/* status_processes.c: "processes" and our own "memory-bytes". */
int status_add_processes(json_t *answer, struct daemon *d) _must_check_;

/* Also there: seconds since a time of CLOCK_MONOTONIC; null where that is 0. */
json_t *status_age(struct daemon *d, uint64_t usec);

/* status_origin.c: what was given to us and to the mesh: "user", "dataplane", "control-plane",
 * "configuration", "token", "ssh-ports", "versions". */
int status_add_origin(json_t *answer, struct daemon *d) _must_check_;

/* status_phase.c: "healthy", "problem", "advice", "hold", "drain": after the others, which it looks at. */
int status_add_verdict(json_t *answer, struct daemon *d) _must_check_;
