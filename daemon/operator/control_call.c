/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The other end of the control socket. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/base/strbuf.h"
#include "daemon/operator/control.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"

#define REPLY_MAX ((size_t)1024 * 1024)

int control_address(const char *path, const char *end, struct sockaddr_un *ret, struct error *err)
{
	_strbuf_ struct strbuf whole = { 0 };

	strbuf_addf(&whole, "%s%s", path, end);
	if (whole.failed)
		return error_sys(err, -ENOMEM, "find the control socket");
	if (!io_unix_address(whole.text, ret))
		return error_set(err, -ENAMETOOLONG, "control socket: %s is too long", path);
	return 0;
}

static int exchange(int fd, const char *request, struct strbuf *reply, struct error *err)
{
	_strbuf_ struct strbuf line = { 0 };
	int r;

	strbuf_addf(&line, "%s\n", request);
	if (line.failed)
		return error_sys(err, -ENOMEM, "ask tproxyd");
	if (send(fd, line.text, line.len, MSG_NOSIGNAL) != (ssize_t)line.len)
		return error_sys(err, -errno, "ask tproxyd");
	r = io_read_all(fd, REPLY_MAX, reply);
	if (r == -EAGAIN)
		return error_set(err, -ETIMEDOUT, "tproxyd does not answer");
	if (r < 0)
		return error_sys(err, r, "read tproxyd's answer");
	if (reply->len == 0)
		return error_set(err, -EPROTO, "tproxyd gave no answer");
	return 0;
}

static int connect_to(int fd, const char *path, const char *end, struct error *err)
{
	struct sockaddr_un addr;
	int r = control_address(path, end, &addr, err);

	if (r < 0 || connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return r;
	if (errno == ENOENT || errno == ECONNREFUSED)
		return CONTROL_NOBODY;
	return error_sys(err, -errno, "connect to %s", addr.sun_path);
}

int control_call(const char *path, const char *request, uint64_t timeout_usec, char **ret_reply,
		 struct error *err)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval tv = { .tv_sec = (time_t)(timeout_usec / 1000000),
				    .tv_usec = (suseconds_t)(timeout_usec % 1000000) };
	_strbuf_ struct strbuf reply = { 0 };
	int r;

	if (fd < 0)
		return error_sys(err, -errno, "create a socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return error_sys(err, -errno, "limit the time to wait for tproxyd");
	/* Root in a user namespace may be nobody to the daemon. */
	r = connect_to(fd, path, geteuid() == 0 ? CONTROL_ROOT : "", err);
	if (r != 0 && geteuid() == 0)
		r = connect_to(fd, path, "", err);
	if (r != 0)
		return r;
	r = exchange(fd, request, &reply, err);
	if (r < 0)
		return r;
	*ret_reply = strbuf_take(&reply);
	return *ret_reply ? 0 : error_sys(err, -ENOMEM, "read tproxyd's answer");
}
