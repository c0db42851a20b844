/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What systemd is told (sd_notify(3)); outside of systemd it is told nobody. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

/* STATUS=, the line of `systemctl status`; said only when it changed. */
void notify_status(char last[static 256], const char *fmt, ...) _printf_(2, 3);

void notify_ready(void);

/* RELOADING=1 at that time of CLOCK_MONOTONIC; READY=1 has to follow. */
void notify_reloading(uint64_t now_usec);
void notify_stopping(void);

/* WATCHDOG=1: the loop runs. */
void notify_alive(void);

/* EXTEND_TIMEOUT_USEC=: we are alive and need up to usec more for this start or stop. */
void notify_extend(uint64_t usec);

/* The descriptor store of systemd: what is put there under a name lives until the service is down,
 * ExecStopPost= included, and is given to the next main process if it starts again. */
void notify_store(const char *name, int fd);
void notify_unstore(const char *name);

/* What a predecessor has put there, by name: at most max of each, which the caller owns then. What is
 * not asked for is closed, so this is asked once. */
struct notify_stored {
	const char *name;
	int *fds;
	size_t max, n;
};
void notify_stored(struct notify_stored *items, size_t n);

/* Whether there is a systemd that is told. */
bool notify_is_heard(void);

/* ERRNO= and STATUS= of what ended us. */
void notify_failed(int code, const char *text);
