/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Tells when a file's content may have changed, however it is replaced: written in place, renamed
 * over, or behind a symbolic link (as resolv.conf is with systemd-resolved). The directories are
 * watched with inotify(7), that of the name and that of the file it leads to. A symbolic link that
 * leads nowhere, as at boot, is tried every second.
 */

#include <systemd/sd-event.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

struct file_watch;

/* Called from the event loop: once at first, as the file may have changed since it was read, then
 * once for a burst of changes. */
typedef void file_changed_t(void *userdata);

int file_watch_new(sd_event *event, const char *path, file_changed_t *changed, void *userdata,
		   struct file_watch **ret, struct error *err) _must_check_;
void file_watch_free(struct file_watch *watch);
DEFINE_CLEANUP(struct file_watch *, file_watch_free, NULL);
