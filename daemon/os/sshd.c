/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/sshd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/array.h"
#include "daemon/os/fd.h"

#define DEPTH_MAX 12

static void closedirp(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}
#define _closedir_ _cleanup_(closedirp)

static DIR *open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcmp(text + len - end_len, end);
}

bool sshd_unit(const char *name)
{
	if (strncmp(name, "ssh", 3) != 0)
		return false;
	name += name[3] == 'd' ? 4 : 3;
	/* One per connection, where the socket unit accepts. */
	if (*name == '@')
		return ends_with(name, ".service");
	return !strcmp(name, ".service") || !strcmp(name, ".socket");
}

/* The number by which the kernel names a control group is the inode of its directory. */
static void walk_cgroups(struct sshd_sockets *sockets, int parent, const char *name, bool inside,
			 int depth)
{
	_closedir_ DIR *dir = open_dir(parent, name);
	struct dirent *entry;
	struct stat st;

	inside = inside || sshd_unit(name);
	if (dir && inside && fstat(dirfd(dir), &st) == 0)
		array_push(sockets->arena, &sockets->cgroups, st.st_ino);
	while (dir && depth > 0 && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			walk_cgroups(sockets, dirfd(dir), entry->d_name, inside, depth - 1);
}

/* "sshd", not "sshd-session": listeners are what is looked for. */
static bool is_sshd(int proc, const char *pid)
{
	_close_ int fd = -EBADF;
	char path[300], name[6];

	(void)snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, name, sizeof(name)) == 5 && !memcmp(name, "sshd\n", 5);
}

static void add_sockets_of(struct sshd_sockets *sockets, int proc, const char *pid)
{
	_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/fd", pid);
	dir = open_dir(proc, path);
	while (dir && (entry = readdir(dir))) {
		char target[64] = "";
		uint64_t inode;

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 &&
		    sscanf(target, "socket:[%20" SCNu64, &inode) == 1)
			array_push(sockets->arena, &sockets->inodes, inode);
	}
}

static void find_processes(struct sshd_sockets *sockets)
{
	_closedir_ DIR *proc = open_dir(AT_FDCWD, "/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    is_sshd(dirfd(proc), entry->d_name))
			add_sockets_of(sockets, dirfd(proc), entry->d_name);
}

void sshd_sockets_find(struct arena *arena, struct sshd_sockets *ret)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

	*ret = (struct sshd_sockets){ .arena = arena, .no_cgroups = true };
	for (size_t i = 0; i < ELEMENTS(roots) && ret->no_cgroups; i++) {
		struct statfs fs;

		if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		ret->no_cgroups = false;
		walk_cgroups(ret, AT_FDCWD, roots[i], false, DEPTH_MAX);
	}
	find_processes(ret);
}

static bool has(const struct u64_list *list, uint64_t number)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i] == number)
			return true;
	return false;
}

bool sshd_sockets_has(const struct sshd_sockets *sockets, uint64_t cgroup, uint64_t inode)
{
	return (cgroup != 0 && has(&sockets->cgroups, cgroup)) ||
	       (inode != 0 && has(&sockets->inodes, inode));
}
