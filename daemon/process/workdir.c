/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/os/as_user.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#define DEPTH_MAX 16 /* kuma-dp makes no subdirectories; a deep tree is not its work */

/* Whose it is may have taken his own rights away. */
static int open_directory(int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	    (st.st_mode & S_IRWXU) != S_IRWXU &&
	    fchmodat(fd, name, (st.st_mode & 07777) | S_IRWXU, 0) < 0)
		return -1;
	return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int empty_directory(int fd, unsigned depth, struct error *err)
{
	DIR *dir = fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = error_sys(err, -errno, "read the work directory");
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		const char *name = entry->d_name;
		int child;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			r = error_sys(err, -errno, "remove %s", name);
			break;
		}
		child = depth < DEPTH_MAX ? open_directory(fd, name) : -1;
		if (child < 0) {
			r = error_sys(err, depth < DEPTH_MAX ? -errno : -ELOOP, "remove %s", name);
			break;
		}
		r = empty_directory(child, depth + 1, err);
		if (r == 0 && unlinkat(fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			r = error_sys(err, -errno, "remove %s", name);
	}
	if (r == 0 && errno)
		r = error_sys(err, -errno, "read the work directory");
	(void)closedir(dir);
	return r;
}

int workdir_wipe(const char *path, uid_t uid, gid_t gid, struct error *err)
{
	_close_ int fd = -EBADF;
	struct stat st;
	int r;

	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return error_sys(err, -errno, "make %s", path);
	/* Opened by root before it is given away; the umask may have taken bits off the mode. */
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_sys(err, -errno, "open %s", path);
	if (st.st_uid != uid || st.st_gid != gid) {
		if (st.st_uid == geteuid() && chmod(path, 0711) < 0)
			return error_sys(err, -errno, "set the mode of %s", path);
		if (lchown(path, uid, gid) < 0)
			return error_sys(err, -errno, "give %s to user %u", path, uid);
	}
	r = as_user(uid, gid, err);
	if (r == 0) {
		int dir = open_directory(AT_FDCWD, path);

		r = dir < 0 ? error_sys(err, -errno, "open %s", path)
			    : empty_directory(dir, 0, err);
	}
	as_ourselves();
	return r < 0 ? error_wrap(err, r, "wipe %s", path) : 0;
}

int workdir_remove(const char *path, uid_t uid, gid_t gid, struct error *err)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_sys(err, -errno, "look at %s", path);
	r = workdir_wipe(path, uid, gid, err);
	if (r < 0)
		return r;
	/* Where it is a file system of its own it goes with the unit. */
	if (rmdir(path) < 0 && errno != ENOENT && errno != EBUSY)
		return error_sys(err, -errno, "remove %s", path);
	return 0;
}

static int write_file(const struct command_file *file, struct error *err)
{
	_close_ int fd = -EBADF;
	int r;

	if (unlink(file->path) < 0 && errno != ENOENT)
		return error_sys(err, -errno, "replace %s", file->path);
	fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_sys(err, -errno, "create %s", file->path);
	r = io_write_all(fd, file->text, strlen(file->text));
	if (r < 0)
		return error_sys(err, r, "write %s", file->path);
	if (fchmod(fd, 0400) < 0)
		return error_sys(err, -errno, "set the mode of %s", file->path);
	return 0;
}

int workdir_write(const struct command *command, uid_t uid, gid_t gid, struct error *err)
{
	int r = as_user(uid, gid, err);

	for (size_t i = 0; i < command->files.n && r == 0; i++)
		r = write_file(&command->files.items[i], err);
	as_ourselves();
	return r < 0 ? error_wrap(err, r, "files of %s", command->name) : 0;
}
