/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
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
