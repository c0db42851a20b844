/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/os/fd.h"

int process_text(pid_t pid, const char *name, char *buf, size_t size)
{
	_close_ int fd = -EBADF;
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* proc(5), stat: the name may hold anything, so what follows is found behind its last bracket. */
int process_read(pid_t pid, struct process *ret)
{
	struct process process = { .pid = pid };
	char text[4096];
	const char *at;
	int threads;
	char state;
	int r = process_text(pid, "stat", text, sizeof(text));

	if (r < 0)
		return r;
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at,
		   ") %c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d %" SCNu64,
		   &state, &process.parent, &process.session, &threads, &process.start_ticks) != 5)
		return -EBADMSG;
	/* Where the first thread alone has ended the process is in that state and lives. */
	process.ended = (state == 'Z' && threads <= 1) || state == 'X';
	r = process_text(pid, "status", text, sizeof(text));
	if (r < 0)
		return r;
	at = strstr(text, "\nUid:");
	if (!at || sscanf(at, "\nUid: %u", &process.uid) != 1)
		return -EBADMSG;
	*ret = process;
	return 0;
}

/* proc(5), statm: the second number is of resident pages. */
int process_memory(pid_t pid, uint64_t *ret_bytes)
{
	char text[128];
	uint64_t pages;
	int r = process_text(pid, "statm", text, sizeof(text));

	if (r < 0)
		return r;
	if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
		return -EBADMSG;
	*ret_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* Each thread has the children that it has made. */
static int add_children(pid_t pid, const char *thread, pid_t *ret, size_t max)
{
	char name[64], text[1024], *at = text, *end;
	int n = 0;

	(void)snprintf(name, sizeof(name), "task/%.16s/children", thread);
	if (process_text(pid, name, text, sizeof(text)) < 0)
		return 0;
	for (long child; (size_t)n < max && (child = strtol(at, &end, 10)) > 0; at = end)
		ret[n++] = (pid_t)child;
	return n;
}

int process_children(pid_t pid, pid_t *ret, size_t max)
{
	const struct dirent *entry;
	char path[64];
	size_t n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			n += (size_t)add_children(pid, entry->d_name, ret + n, max - n);
	if (dir)
		(void)closedir(dir);
	return (int)n;
}

int process_program_deleted(pid_t pid, bool *ret)
{
	static const char deleted[] = " (deleted)";
	char link[32], target[4096];
	ssize_t len, end = sizeof(deleted) - 1;

	(void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	len = readlink(link, target, sizeof(target));
	if (len < 0)
		return -errno;
	*ret = len > end && memcmp(target + len - end, deleted, (size_t)end) == 0;
	return 0;
}
