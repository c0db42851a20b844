/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/file_watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"

/* Editors and resolvers change a file in several steps. */
#define QUIET_USEC ((uint64_t)100 * 1000)
/* But what else happens in the directory may never come to rest. */
#define PATIENCE_USEC ((uint64_t)1000 * 1000)
/* How often a link that leads nowhere is tried (there may be no directory yet that could be
 * watched), and how often a file whose directory the kernel cannot watch is looked at. */
#define RETRY_USEC ((uint64_t)1000 * 1000)
#define POLL_USEC  ((uint64_t)10 * 1000 * 1000)
#define EVENTS                                                                              \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct file_watch {
	struct file_watch_setup setup; /* its path is the caller's */
	sd_event_source *name;         /* of the name's directory */
	sd_event_source *target;       /* of the file's directory, where it is another */
	sd_event_source *timer;
	bool dangling;     /* a link that leads nowhere */
	uint64_t due_usec; /* a change waits to be told until then at most; 0: none does */
	char path[PATH_MAX];
};

static int on_change(sd_event_source *source, const struct inotify_event *event, void *userdata);

static int watch_directory_of(struct file_watch *watch, const char *path, sd_event_source **ret)
{
	_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	return sd_event_add_inotify(watch->setup.event, ret, dirname(copy), EVENTS, on_change,
				    watch);
}

static int look_in(struct file_watch *watch, uint64_t usec)
{
	int r = sd_event_source_set_time_relative(watch->timer, usec);

	return r < 0 ? r : sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

/* Once the changes that are under way have come to rest. */
static int look_soon(struct file_watch *watch)
{
	uint64_t now, left;
	int r = sd_event_now(watch->setup.event, CLOCK_MONOTONIC, &now);

	if (r < 0)
		return r;
	if (!watch->due_usec)
		watch->due_usec = now + PATIENCE_USEC;
	left = watch->due_usec > now ? watch->due_usec - now : 0;
	return look_in(watch, left < QUIET_USEC ? left : QUIET_USEC);
}

/* Where the kernel has no watch to give, a later look may find one. */
static int watch_name(struct file_watch *watch)
{
	int r = watch->name ? 0 : watch_directory_of(watch, watch->path, &watch->name);

	if (r < 0) {
		watch->name = NULL;
		(void)look_in(watch, POLL_USEC);
	}
	return r;
}

/* The link may lead elsewhere than before. */
static void watch_target(struct file_watch *watch)
{
	_free_ char *target = realpath(watch->path, NULL);
	struct stat st;

	watch->target = sd_event_source_disable_unref(watch->target);
	watch->dangling = !target && lstat(watch->path, &st) == 0 && S_ISLNK(st.st_mode);
	if (watch->dangling)
		(void)look_in(watch, RETRY_USEC);
	/* A file that is gone shows again in the directory of its name. */
	if (target && strcmp(target, watch->path) != 0 &&
	    watch_directory_of(watch, target, &watch->target) < 0) {
		watch->target = NULL;
		(void)look_in(watch, POLL_USEC);
	}
}

static int on_quiet(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct file_watch *watch = userdata;
	bool dangled = watch->dangling;

	watch->due_usec = 0;
	(void)watch_name(watch);
	watch_target(watch);
	if (!dangled || !watch->dangling)
		watch->setup.changed(watch->setup.userdata);
	return 0;
}

/* Whatever happens in the directory counts: a look at the file is cheaper than telling events
 * apart. */
static int on_change(_unused_ sd_event_source *source, _unused_ const struct inotify_event *event,
		     void *userdata)
{
	struct file_watch *watch = userdata;

	if (look_soon(watch) < 0)
		watch->setup.changed(watch->setup.userdata);
	return 0;
}

int file_watch_new(const struct file_watch_setup *setup, struct file_watch **ret, struct error *err)
{
	const char *path = setup->path;
	_cleanup_(file_watch_freep) struct file_watch *watch = calloc(1, sizeof(*watch));
	int r, watched = 0;

	if (!watch)
		return error_sys(err, -ENOMEM, "watch %s", path);
	if (strlen(path) >= sizeof(watch->path))
		return error_sys(err, -ENAMETOOLONG, "watch %s", path);
	memcpy(watch->path, path, strlen(path) + 1);
	watch->setup = *setup;
	r = sd_event_add_time_relative(setup->event, &watch->timer, CLOCK_MONOTONIC, 0, 0, on_quiet,
				       watch);
	if (r >= 0)
		r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
	/* Before the next events, or they could keep it waiting. */
	if (r >= 0)
		r = sd_event_source_set_priority(watch->timer, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r >= 0)
		watched = watch_name(watch);
	if (r >= 0)
		r = watched == -ENOENT ? watched : look_soon(watch);
	if (r < 0)
		return error_sys(err, r, "watch %s", path);
	*ret = take_ptr(watch);
	if (watched >= 0)
		return 0;
	(void)error_sys(err, watched, "watch %s", path);
	return FILE_WATCH_POLLS;
}

void file_watch_free(struct file_watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->name);
	sd_event_source_disable_unref(watch->target);
	sd_event_source_disable_unref(watch->timer);
	free(watch);
}
