/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

/* The file: a line with INVOCATION_ID, then for each port "PORT known WHY" or "PORT unknown WHY". */

#define FILE_MAX ((size_t)64 * 1024)

static bool is_roots_alone(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH)) &&
	       (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

/* The directory too: who may write there can put another file in its place. */
static int open_roots(const char *path)
{
	_free_ char *parent = strndup(path, (size_t)(strrchr(path, '/') - path));
	_close_ int dir = -EBADF, fd = -EBADF;

	dir = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -EBADF;
	if (dir < 0 || !is_roots_alone(dir))
		return -EBADF;
	fd = openat(dir, strrchr(path, '/') + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && is_roots_alone(fd) ? take_fd(&fd) : -EBADF;
}

static bool parse_line(struct arena *arena, char *line, struct ssh_port_list *ret)
{
	const char *port = strsep(&line, " "), *kind = strsep(&line, " ");
	struct facts_ssh_port found = { .why = arena_strdup(arena, line ? line : "") };

	if (!line || !parse_port(port, &found.port))
		return false;
	found.unknown = strcmp(kind, "unknown") == 0;
	array_push(arena, ret, found);
	return found.unknown || strcmp(kind, "known") == 0;
}

bool ssh_ports_take(struct arena *arena, const char *path, struct facts *facts)
{
	const char *start = getenv("INVOCATION_ID"), *written_for;
	_close_ int fd = start ? open_roots(path) : -EBADF;
	struct ssh_port_list ports = { 0 };
	_strbuf_ struct strbuf text = { 0 };
	char *rest, *line;

	if (fd < 0 || io_read_all(fd, FILE_MAX, &text) < 0 || text.len > FILE_MAX || !text.len)
		return false;
	rest = text.text;
	written_for = strsep(&rest, "\n");
	if (!rest || strcmp(written_for, start) != 0)
		return false;
	while ((line = strsep(&rest, "\n")) && *line)
		if (!parse_line(arena, line, &ports))
			return false;
	facts->ssh_ports = ports;
	return true;
}

static int write_new(const char *path, const struct strbuf *text)
{
	_close_ int fd = -EBADF;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : io_write_all(fd, text->text, text->len);
}

int ssh_ports_hand_over(struct arena *arena, const char *path, struct error *err)
{
	const char *start = getenv("INVOCATION_ID");
	_strbuf_ struct strbuf text = { 0 };
	struct tcp_socket_list sockets;
	struct facts facts = { 0 };
	int r;

	if (!start)
		return 0;
	r = sock_tcp_list(arena, &sockets, err);
	if (r < 0)
		return r;
	ssh_ports_find(arena, &sockets, &facts);
	if (facts.ssh_unseen)
		return 0;
	strbuf_addf(&text, "%s\n", start);
	for (size_t i = 0; i < facts.ssh_ports.n; i++) {
		const struct facts_ssh_port *port = &facts.ssh_ports.items[i];

		strbuf_addf(&text, "%u %s %s\n", port->port, port->unknown ? "unknown" : "known",
			    port->why);
	}
	if (arena->failed || text.failed)
		return error_sys(err, -ENOMEM, "look for SSH servers");
	r = write_new(path, &text);
	return r < 0 && r != -ENOENT ? error_sys(err, r, "write %s", path) : 0;
}
