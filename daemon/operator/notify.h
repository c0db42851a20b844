/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What systemd is told (sd_notify(3)); outside of systemd it is told nobody. */

#include <stdint.h>

#include "common/base/attr.h"

/* STATUS=, the line of `systemctl status`; said only when it changed. */
void notify_status(char last[static 256], const char *fmt, ...) _printf_(2, 3);

void notify_ready(void);
void notify_stopping(void);

/* EXTEND_TIMEOUT_USEC=: we are alive and need up to usec more for this start or stop. */
void notify_extend(uint64_t usec);

/* ERRNO= and STATUS= of what ended us. */
void notify_failed(int code, const char *text);
