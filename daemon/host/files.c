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
#include "daemon/os/io.h"

#define FILE_SIZE_MAX ((size_t)1024 * 1024)
#define GROUPS_MAX    256

/* Through whose eyes a file is looked at. */
struct view {
	const struct facts_user *who;
	cap_t saved; /* what view_leave() puts back; NULL: nothing was changed */
	gid_t saved_groups[GROUPS_MAX];
	int n_saved_groups;
	bool regrouped;
};

/* What one viewer found. All numbers are 0 or a positive errno. */
struct sight {
	int found, readable, executable;
	bool regular;
	int text_error; /* EFBIG, or why it could not be read */
	const char *text;
	size_t len;
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
	if (r == 0 && view->who->uid != 0) {
		view->regrouped = setgroups(view->who->n_groups, view->who->groups) == 0;
		r = view->regrouped ? 0 : -errno;
	}
	if (r == 0)
		r = as_user(view->who->uid, view->who->gid, NULL);
	if (r < 0)
		view_leave(view);
	return r;
}

static int text_read(struct arena *arena, int fd, struct sight *ret)
{
	_strbuf_ struct strbuf text = { 0 };
	int r = io_read_all(fd, FILE_SIZE_MAX, &text);

	if (r < 0)
		return -r;
	if (text.len > FILE_SIZE_MAX)
		return EFBIG;
	ret->text = arena_strndup(arena, strbuf_text(&text), text.len);
	ret->len = text.len;
	if (text.len)
		explicit_bzero(text.text, text.len); /* a token may have been in it */
	return ret->text ? 0 : ENOMEM;
}

static void look_at(struct arena *arena, const char *path, bool want_text, struct sight *ret)
{
	struct stat st;

	ret->found = stat(path, &st) < 0 ? errno : 0;
	ret->regular = !ret->found && S_ISREG(st.st_mode);
	if (!ret->regular) {
		ret->readable = ret->executable = ret->found ? ret->found : EACCES;
		return;
	}
	/* AT_EACCESS: access(2) would ask for the real user. */
	ret->executable = faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
	/* Should it have become a terminal or a FIFO, none is taken over or waited for. */
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ret->readable = fd < 0 ? errno : 0;
	if (fd >= 0 && want_text)
		ret->text_error = text_read(arena, fd, ret);
}

static void look_as(struct arena *arena, const struct facts_user *who, const char *path,
		    bool want_text, struct sight *ret)
{
	struct view view = { .who = who };
	int r = view_enter(&view);

	if (r < 0) {
		ret->found = ret->readable = ret->executable = -r;
		return;
	}
	look_at(arena, path, want_text, ret);
	view_leave(&view);
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
			      unsigned use, const struct sight *ours, const struct sight *theirs)
{
	const char *name = user->found ? user->name : "root";
	int text_error = theirs->text         ? 0
			 : theirs->text_error ? theirs->text_error
					      : ours->text_error;

	if (!ours->regular && !theirs->regular)
		return arena_printf(arena, "%s is not a regular file", path);
	if ((use & HOST_FILE_EXECUTE) && theirs->executable)
		return arena_printf(arena, "%s is not executable by user %s", path, name);
	if ((use & HOST_FILE_READ_USER) && theirs->readable)
		return arena_printf(arena, "%s is not readable by user %s", path, name);
	if ((use & HOST_FILE_READ_US) && ours->readable)
		return arena_printf(arena, "%s is not readable by root without CAP_DAC_OVERRIDE",
				    path);
	if ((use & HOST_FILE_READ) && theirs->readable && ours->readable)
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
	static const struct facts_user us = { 0 };
	struct sight ours = { 0 }, theirs = { 0 };

	*ret = (struct facts_file){ 0 };
	if (path[0] != '/') {
		ret->problem = arena_printf(
			arena, "%s is not an absolute path, and the service's directory is /",
			path);
		return;
	}
	look_as(arena, &us, path, use & HOST_FILE_TEXT, &ours);
	if (user->found)
		look_as(arena, user, path, (use & HOST_FILE_TEXT) && !ours.text, &theirs);
	else
		theirs = ours;
	/* A directory that only the kuma-dp user can pass is closed to the unit's root. */
	if (ours.found && theirs.found) {
		ret->problem = problem_of_way(arena, path, theirs.found);
		return;
	}
	ret->exists = true;
	ret->readable_by_user = theirs.readable == 0;
	ret->text = ours.text ? ours.text : theirs.text;
	ret->len = ours.text ? ours.len : theirs.len;
	ret->problem = problem_of(arena, user, path, use, &ours, &theirs);
	/* The service itself judges by what it sees: the operator may have
	 * taken PrivateTmp= out. */
	if (!ret->problem && !getenv("NOTIFY_SOCKET"))
		ret->problem = problem_of_place(arena, path);
}

void host_file_plain(struct arena *arena, const char *path, struct facts_file *ret)
{
	struct sight sight = { 0 };
	int error;

	look_at(arena, path, true, &sight);
	*ret = (struct facts_file){ .exists = !sight.found, .text = sight.text, .len = sight.len };
	error = sight.readable ? sight.readable : sight.text_error;
	if (sight.found)
		ret->problem = problem_of_way(arena, path, sight.found);
	else if (!sight.regular)
		ret->problem = arena_printf(arena, "%s is not a regular file", path);
	else if (error)
		ret->problem = arena_printf(arena, "read %s: %s", path, strerror(error));
}
