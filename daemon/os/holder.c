/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/os/fd.h"

#define LINK_BYTES 64 /* "socket:[…]" */

DEFINE_CLEANUP(DIR *, closedir, NULL);

/* As a descriptor of it reads in proc(5). */
static int name_socket(int protocol, uint32_t port, char ret[static LINK_BYTES])
{
	_fclose_ FILE *list = fopen("/proc/self/net/netlink", "re");
	char line[256];

	/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode */
	while (list && fgets(line, sizeof(line), list)) {
		int its_protocol;
		uint32_t its_port;
		uint64_t inode;

		if (sscanf(line, "%*s %d %" SCNu32 " %*s %*s %*s %*s %*s %*s %" SCNu64,
			   &its_protocol, &its_port, &inode) != 3 ||
		    its_protocol != protocol || its_port != port)
			continue;
		(void)snprintf(ret, LINK_BYTES, "socket:[%" PRIu64 "]", inode);
		return 0;
	}
	return -ESRCH;
}

static bool has_open(long pid, const char *socket)
{
	char path[64], target[LINK_BYTES];
	const struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	_cleanup_(closedirp) DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		if (strcmp(target, socket) == 0)
			return true;
	}
	return false;
}

static void read_name(struct holder *holder)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", (long)holder->pid);
	_fclose_ FILE *f = fopen(path, "re");
	if (!f || !fgets(holder->name, sizeof(holder->name), f))
		strcpy(holder->name, "?");
	holder->name[strcspn(holder->name, "\n")] = '\0';
	for (char *c = holder->name; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

int holder_find(int protocol, uint32_t port, struct holder *ret)
{
	char socket[LINK_BYTES];
	const struct dirent *entry;
	int r = name_socket(protocol, port, socket);

	if (r < 0)
		return r;
	_cleanup_(closedirp) DIR *dir = opendir("/proc");
	*ret = (struct holder){ 0 };
	/* systemd is the first there is. */
	while (dir && ret->pid <= 1 && (entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && has_open(pid, socket))
			ret->pid = (pid_t)pid;
	}
	if (ret->pid == 0)
		return -ESRCH;
	read_name(ret);
	return 0;
}
