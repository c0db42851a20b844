/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/notify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/base/utf8.h"

/* systemd ignores what is not UTF-8, and a line break would begin another variable of the protocol.
 * Where there is no memory nothing is better than half a sentence. */
static void make_clean(char *text, size_t size)
{
	_strbuf_ struct strbuf clean = { 0 };

	utf8_add_clean(&clean, text, strlen(text));
	utf8_print(text, size, "%s", clean.failed ? "" : strbuf_text(&clean));
}

void notify_status(char last[static 256], const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	utf8_vprint(text, sizeof(text), fmt, args);
	va_end(args);
	make_clean(text, sizeof(text));
	if (strcmp(text, last) == 0)
		return;
	memcpy(last, text, sizeof(text));
	(void)sd_notifyf(0, "STATUS=%s", text);
}

void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_reloading(uint64_t now_usec)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_alive(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

void notify_extend(uint64_t usec)
{
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

void notify_failed(int code, const char *text)
{
	char line[1024];

	utf8_print(line, sizeof(line), "%s", text);
	make_clean(line, sizeof(line));
	(void)sd_notifyf(0, "ERRNO=%d\nSTATUS=%s", code < 0 ? -code : code, line);
}

/* systemd would throw out at once what poll(2) calls hung up, as a socket is that is neither
 * connected nor listens. */
void notify_store(const char *name, int fd)
{
	char text[64];

	utf8_print(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	(void)sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void notify_unstore(const char *name)
{
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/* Whether somebody asks for what has this name, and has room. */
static bool give(struct notify_stored *items, size_t n, const char *name, int fd)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(items[i].name, name) != 0 || items[i].n == items[i].max)
			continue;
		items[i].fds[items[i].n++] = fd;
		return true;
	}
	return false;
}

void notify_stored(struct notify_stored *items, size_t n)
{
	char **names = NULL;
	int stored = sd_listen_fds_with_names(1, &names);

	for (int i = 0; i < stored; i++) {
		if (!give(items, n, names[i], SD_LISTEN_FDS_START + i))
			(void)close(SD_LISTEN_FDS_START + i);
		free(names[i]);
	}
	free(names);
}

bool notify_is_heard(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}
