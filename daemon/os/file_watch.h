/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Tells when a file's content may have changed, however it is replaced: written in place, renamed
 * over, or behind a symbolic link (as resolv.conf is with systemd-resolved). The directories are
 * watched with inotify(7), that of the name and that of the file it leads to. A symbolic link that
 * leads nowhere, as at boot, is tried every second. Where the kernel gives no watch (any user can
 * use up a limit, other programs of root's use up root's) the file is looked at every ten seconds.
 */

#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

struct file_watch;

struct file_watch_setup {
	sd_event *event;
	const char *path;
	/* Called from the event loop: once at first, as the file may have changed since it was read,
	 * then once for a burst of changes. */
	void (*changed)(void *userdata);
	void *userdata;
};

/* Returns 0, FILE_WATCH_POLLS (with the sentence: the kernel does not tell of changes), or a negative
 * errno. */
#define FILE_WATCH_POLLS 1
int file_watch_new(const struct file_watch_setup *setup, struct file_watch **ret, struct error *err)
	_must_check_;
void file_watch_free(struct file_watch *watch);
DEFINE_CLEANUP(struct file_watch *, file_watch_free, NULL);
