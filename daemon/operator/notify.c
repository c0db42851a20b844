/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "daemon/operator/log.h"

void notify_status(char last[static 256], const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* A line break would begin another variable of the protocol. */
	log_make_one_line(text);
	if (strcmp(text, last) == 0)
		return;
	memcpy(last, text, sizeof(text));
	(void)sd_notifyf(0, "STATUS=%s", text);
}

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_extend(uint64_t usec)
{
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

void notify_failed(int code, const char *text)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "%s", text);
	log_make_one_line(line);
	(void)sd_notifyf(0, "ERRNO=%d\nSTATUS=%s", code < 0 ? -code : code, line);
}
