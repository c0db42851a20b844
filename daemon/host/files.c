/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/os/as_user.h"
#include "daemon/os/fd.h"

#define FILE_SIZE_MAX ((size_t)1024 * 1024)
#define GROUPS_MAX    256

/* Through whose eyes a file is looked at. */
struct view {
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;

	cap_t saved; /* what view_leave() puts back; NULL: nothing was changed */
	gid_t saved_groups[GROUPS_MAX];
	int n_saved_groups;
	bool regrouped;
};

/* What one viewer found. All numbers are 0 or a positive errno. */
struct sight {
	int found, readable, executable;
	struct stat st;
};

int host_file_override_drop(void)
{
	static const cap_value_t override[] = { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH };
	cap_t caps = cap_get_proc();
	int r;

	if (!caps)
		return -errno;
	(void)cap_set_flag(caps, CAP_EFFECTIVE, ELEMENTS(override), override, CAP_CLEAR);
	r = cap_set_proc(caps) < 0 ? -errno : 0;
	(void)cap_free(caps);
	return r;
}

static void view_leave(struct view *view)
{
	int r;

	if (!view->saved)
		return;
	as_ourselves();
	/* Whoever could become the viewer can come back; going on as somebody else is no choice. */
	r = view->regrouped ? setgroups((size_t)view->n_saved_groups, view->saved_groups) : 0;
	assert(r == 0);
	r = cap_set_proc(view->saved);
	assert(r == 0);
	(void)cap_free(view->saved);
	view->saved = NULL;
}

/* Becomes the viewer as far as files go: the unit's root has no CAP_DAC_OVERRIDE, and the kuma-dp
 * user is its fsuid and groups. Without root everything is seen with our own eyes. */
static int view_enter(struct view *view)
{
	int r;

	if (geteuid() != 0)
		return 0;
	view->n_saved_groups = getgroups(GROUPS_MAX, view->saved_groups);
	if (view->n_saved_groups < 0 || !(view->saved = cap_get_proc()))
		return -errno;
	r = host_file_override_drop();
	if (r == 0 && view->uid != 0) {
		view->regrouped = setgroups(view->n_groups, view->groups) == 0;
		r = view->regrouped ? 0 : -errno;
	}
	if (r == 0)
		r = as_user(view->uid, view->gid, NULL);
	if (r < 0) {
		view_leave(view);
		return r;
	}
	return 0;
}

/* Opens without side effects: no terminal is taken over, no FIFO waited for. */
static int open_quietly(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

static void look_at(const char *path, struct sight *ret)
{
	ret->found = stat(path, &ret->st) < 0 ? errno : 0;
	if (ret->found || !S_ISREG(ret->st.st_mode)) {
		ret->readable = ret->executable = ret->found ? ret->found : EACCES;
		return;
	}
	/* AT_EACCESS: access(2) would ask for the real user. */
	ret->executable = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
	_close_ int fd = open_quietly(path);
	ret->readable = fd < 0 ? errno : 0;
}

/* Reads the whole file, as the viewer. Returns 0, EFBIG, or another errno. */
static int text_read(struct arena *arena, const char *path, const char **ret, size_t *ret_len)
{
	_close_ int fd = open_quietly(path);
	_free_ char *buf = malloc(FILE_SIZE_MAX + 1);
	size_t len = 0;

	if (fd < 0)
		return errno;
	if (!buf)
		return ENOMEM;
	for (;;) {
		ssize_t n = read(fd, buf + len, FILE_SIZE_MAX + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > FILE_SIZE_MAX)
			return EFBIG;
	}
	*ret = arena_strndup(arena, buf, len);
	*ret_len = len;
	explicit_bzero(buf, len); /* a token may have been in it */
	return *ret ? 0 : ENOMEM;
}

/* Looks at the file as one viewer and reads it where that is wanted and possible. The parameters
 * behind the path are what differs between the viewers, and what they have in common. */
static void look_as(struct arena *arena, struct view *view, const char *path, bool want_text,
		    struct sight *ret_sight, struct facts_file *file, int *ret_text)
{
	int r = view_enter(view);

	if (r < 0) {
		ret_sight->found = ret_sight->readable = ret_sight->executable = -r;
		return;
	}
	look_at(path, ret_sight);
	if (want_text && !file->text && ret_sight->readable == 0)
		*ret_text = text_read(arena, path, &file->text, &file->len);
	view_leave(view);
}

/* The directory of which the service has its own (PrivateTmp=), or NULL. */
static const char *private_directory(const char *path)
{
	if (strncmp(path, "/tmp/", 5) == 0)
		return "/tmp";
	if (strncmp(path, "/var/tmp/", 9) == 0)
		return "/var/tmp";
	return NULL;
}

/* What is wrong with a file that is there, or NULL. The parameters are those of host_file(), and
 * what was seen. */
static const char *problem_of(struct arena *arena, const struct facts_user *user, const char *path,
			      unsigned use, const struct facts_file *file, int text_error)
{
	const char *name = user->found ? user->name : "root";

	if (!file->is_regular)
		return arena_printf(arena, "%s is not a regular file", path);
	if ((use & HOST_FILE_EXECUTE) && !file->executable_by_user)
		return arena_printf(arena, "%s is not executable by user %s", path, name);
	if ((use & HOST_FILE_READ_USER) && !file->readable_by_user)
		return arena_printf(arena, "%s is not readable by user %s", path, name);
	if ((use & HOST_FILE_READ_US) && !file->readable_by_us)
		return arena_printf(arena, "%s is not readable by root without CAP_DAC_OVERRIDE",
				    path);
	if ((use & HOST_FILE_READ) && !file->readable_by_user && !file->readable_by_us)
		return arena_printf(arena,
				    "%s is readable neither by user %s nor by root without "
				    "CAP_DAC_OVERRIDE",
				    path, name);
	if (text_error == EFBIG)
		return arena_printf(arena, "%s is larger than 1 MiB", path);
	if (text_error)
		return arena_printf(arena, "read %s: %s", path, strerror(text_error));
	return NULL;
}

/* What is wrong with a path that leads nowhere. */
static const char *problem_of_way(struct arena *arena, const char *path, int error)
{
	const char *private = private_directory(path);

	if (error == ENOENT && private)
		return arena_printf(arena, "%s does not exist; the service has a %s of its own",
				    path, private);
	if (error == ENOENT)
		return arena_printf(arena, "%s does not exist", path);
	return arena_printf(arena, "%s: %s", path, strerror(error));
}

/* What is wrong with where a file is, or where a link to it leads; NULL: nothing. */
static const char *problem_of_place(struct arena *arena, const char *path)
{
	_free_ char *real = realpath(path, NULL);
	const char *private = private_directory(real ? real : path);

	if (!private)
		return NULL;
	return arena_printf(arena, "%s is not there for the service, which has a %s of its own",
			    path, private);
}

void host_file(struct arena *arena, const struct facts_user *user, const char *path, unsigned use,
	       struct facts_file *ret)
{
	struct view us = { 0 };
	struct view them = { .uid = user->uid,
			     .gid = user->gid,
			     .groups = user->groups,
			     .n_groups = user->n_groups };
	struct sight ours = { 0 }, theirs = { 0 };
	int text_error = 0;

	*ret = (struct facts_file){ 0 };
	if (path[0] != '/') {
		ret->problem = arena_printf(
			arena, "%s is not an absolute path, and the service's directory is /",
			path);
		return;
	}
	look_as(arena, &us, path, use & HOST_FILE_TEXT, &ours, ret, &text_error);
	if (user->found)
		look_as(arena, &them, path, use & HOST_FILE_TEXT, &theirs, ret, &text_error);
	else
		theirs = ours;

	/* A directory that only the kuma-dp user can pass is closed to the unit's root. */
	const struct sight *either = ours.found == 0 ? &ours : &theirs;

	if (either->found) {
		ret->problem = problem_of_way(arena, path, either->found);
		return;
	}
	ret->exists = true;
	ret->is_regular = S_ISREG(either->st.st_mode);
	ret->readable_by_us = ours.readable == 0;
	ret->readable_by_user = theirs.readable == 0;
	ret->executable_by_user = theirs.executable == 0;
	ret->problem = problem_of(arena, user, path, use, ret, text_error);
	/* The service itself judges by what it sees: the operator may have
	 * taken PrivateTmp= out. */
	if (!ret->problem && !getenv("NOTIFY_SOCKET"))
		ret->problem = problem_of_place(arena, path);
}

void host_file_plain(struct arena *arena, const char *path, struct facts_file *ret)
{
	struct sight sight = { 0 };

	*ret = (struct facts_file){ 0 };
	look_at(path, &sight);
	if (sight.found == 0 && sight.readable == 0)
		sight.readable = text_read(arena, path, &ret->text, &ret->len);
	ret->exists = sight.found == 0;
	ret->is_regular = ret->exists && S_ISREG(sight.st.st_mode);
	ret->readable_by_us = sight.readable == 0;
	if (sight.found)
		ret->problem = problem_of_way(arena, path, sight.found);
	else if (!ret->is_regular)
		ret->problem = arena_printf(arena, "%s is not a regular file", path);
	else if (sight.readable)
		ret->problem = arena_printf(arena, "read %s: %s", path, strerror(sight.readable));
}
