/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewalld/firewalld.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/plan/plan.h"
#include "daemon/firewalld/direct_xml.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#define SIZE_MAX_READ ((size_t)64 * 1024 * 1024)

/* The file as it is. */
struct present {
	char path[PATH_MAX]; /* links followed */
	bool exists;
	struct stat status;
	struct strbuf text;
};

static void present_done(struct present *present)
{
	strbuf_done(&present->text);
}

/* Reads the file if there is one. */
static int present_read(const char *dir, struct present *ret, struct error *err)
{
	_close_ int fd = -EBADF;
	char path[PATH_MAX];
	int r;

	*ret = (struct present){ 0 };
	if (snprintf(path, sizeof(path), "%s/direct.xml", dir) >= (int)sizeof(path))
		return error_sys(err, -ENAMETOOLONG, "open %s/direct.xml", dir);
	if (!realpath(path, ret->path)) {
		if (errno != ENOENT)
			return error_sys(err, -errno, "open %s", path);
		memcpy(ret->path, path, sizeof(path));
		print_firewalld(&(struct firewalld_entries){ 0 }, &ret->text);
		return 0;
	}
	/* O_NONBLOCK: not to wait for the other end of a pipe. */
	fd = open(ret->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &ret->status) < 0)
		return error_sys(err, -errno, "open %s", ret->path);
	if (!S_ISREG(ret->status.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file", ret->path);
	ret->exists = true;
	r = io_read_all(fd, SIZE_MAX_READ, &ret->text);
	if (r < 0)
		return error_sys(err, r, "read %s", ret->path);
	return ret->text.len > SIZE_MAX_READ ? error_set(err, -EFBIG, "%s is too large", ret->path)
					     : 0;
}

/* Writes the text into a new file beside the present one, as that is to others. */
static int write_beside(const struct present *present, const struct strbuf *text,
			struct firewalld_change *change, struct error *err)
{
	int parent_len = (int)(strrchr(present->path, '/') - present->path), r;
	_close_ int fd = -EBADF;

	memcpy(change->path, present->path, sizeof(change->path));
	(void)snprintf(change->temporary, sizeof(change->temporary), "%.*s/.direct.xml.XXXXXX",
		       parent_len, present->path);
	fd = mkostemp(change->temporary, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		change->temporary[0] = '\0';
		return error_sys(err, r, "write beside %s", present->path);
	}
	r = io_write_all(fd, text->text, text->len);
	/* The owner first: that takes away set-user-ID bits. */
	if (r == 0 &&
	    ((present->exists && fchown(fd, present->status.st_uid, present->status.st_gid) < 0) ||
	     fchmod(fd, present->exists ? present->status.st_mode & 07777 : 0644) < 0 ||
	     fsync(fd) < 0))
		r = -errno;
	return r < 0 ? error_sys(err, r, "write %s", change->temporary) : 0;
}

static int sync_parent(const char *path, struct error *err)
{
	_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));
	_close_ int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || fsync(fd) < 0)
		return error_sys(err, -errno, "write %s to disk", path);
	return 0;
}

/* Replaces what is ours in the present text. */
static int edit(const struct present *present, const struct firewalld_entries *entries,
		struct strbuf *out, size_t *ret_n, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct direct_document document;
	const char *text = strbuf_text(&present->text);
	int r = direct_parse(&arena, text, present->text.len, &document, err);

	if (r < 0)
		return error_wrap(err, r, "%s", present->path);
	*ret_n = direct_replace(text, present->text.len, &document, entries, out);
	return out->failed ? error_sys(err, -ENOMEM, "edit %s", present->path) : 0;
}

int firewalld_stage(const char *dir, const struct ruleset *rules, struct firewalld_change *ret,
		    struct error *err)
{
	_cleanup_(present_done) struct present present = { 0 };
	_cleanup_(arena_done) struct arena arena = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	struct firewalld_entries entries;
	size_t n;
	int r;

	*ret = (struct firewalld_change){ 0 };
	if (access(dir, F_OK) < 0)
		return error_sys(err, -errno, "store the rules for firewalld: %s", dir);
	r = present_read(dir, &present, err);
	firewalld_entries(&arena, rules, &entries);
	if (r == 0 && arena.failed)
		r = error_sys(err, -ENOMEM, "print them");
	if (r == 0)
		r = edit(&present, &entries, &text, &n, err);
	if (r == 0 && !(present.exists && strcmp(text.text, present.text.text) == 0))
		r = write_beside(&present, &text, ret, err);
	if (r < 0)
		firewalld_change_done(ret);
	return r < 0 ? error_wrap(err, r, "store the rules for firewalld") : 0;
}

int firewalld_commit(struct firewalld_change *change, struct error *err)
{
	if (!change->temporary[0])
		return 0;
	if (rename(change->temporary, change->path) < 0)
		return error_sys(err, -errno, "replace %s", change->path);
	change->temporary[0] = '\0';
	return sync_parent(change->path, err);
}

void firewalld_change_done(struct firewalld_change *change)
{
	if (change->temporary[0])
		(void)unlink(change->temporary);
	change->temporary[0] = '\0';
}

static bool names_us(const struct present *present)
{
	return strstr(strbuf_text(&present->text), KUMA_MESH_PREFIX) ||
	       strstr(strbuf_text(&present->text), COMMENT_PREFIX);
}

static int replace(const struct present *present, const struct strbuf *text, struct error *err)
{
	_firewalld_change_ struct firewalld_change change = { 0 };
	_strbuf_ struct strbuf nothing = { 0 };
	int r;

	print_firewalld(&(struct firewalld_entries){ 0 }, &nothing);
	if (strcmp(strbuf_text(text), strbuf_text(&nothing)) == 0) {
		if (unlink(present->path) < 0)
			return error_sys(err, -errno, "remove %s", present->path);
		return sync_parent(present->path, err);
	}
	r = write_beside(present, text, &change, err);
	return r < 0 ? r : firewalld_commit(&change, err);
}

int firewalld_remove(const char *dir, bool dry_run, size_t *ret_n, struct error *err)
{
	_cleanup_(present_done) struct present present = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	int r;

	*ret_n = 0;
	r = present_read(dir, &present, err);
	if (r == 0 && !present.exists)
		return 0;
	if (r == 0)
		r = edit(&present, &(struct firewalld_entries){ 0 }, &text, ret_n, err);
	if (r == -EBADMSG && !names_us(&present))
		return 0;
	if (r == 0 && *ret_n > 0 && !dry_run)
		r = replace(&present, &text, err);
	return r < 0 ? error_wrap(err, r, "remove the rules stored for firewalld") : 0;
}
