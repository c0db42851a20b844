/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What proc(5) tells of one process. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/attr.h"

struct process {
	pid_t pid, parent, session;
	uid_t uid;            /* real */
	bool ended;           /* and only not reaped yet */
	uint64_t start_ticks; /* after boot: tells it from a later one with its number */
};

/* Reads a file below /proc/PID, cut to size - 1 bytes. Returns 0 or a negative errno. */
int process_text(pid_t pid, const char *name, char *buf, size_t size) _must_check_;

/* Its resident memory in bytes. (What of it is shared only its user may ask.) Returns 0 or a negative
 * errno. */
int process_memory(pid_t pid, uint64_t *ret_bytes) _must_check_;

/* Whether the file that it executes has no name any more: it was deleted, or another one has taken its
 * place. Only its user may ask. Returns 0 or a negative errno. */
int process_program_deleted(pid_t pid, bool *ret) _must_check_;

/* Its children, at most max of them. Returns how many, 0 where that cannot be told. */
int process_children(pid_t pid, pid_t *ret, size_t max) _must_check_;

/* Returns 0, or a negative errno where it has ended or is hidden from us. */
int process_read(pid_t pid, struct process *ret) _must_check_;
