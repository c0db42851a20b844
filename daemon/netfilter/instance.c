/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/instance.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/os/fd.h"

#define INSTANCE_NAME "tproxyd" /* behind the NUL that makes it abstract */

static int refuse(pid_t pid, uid_t uid, struct error *err)
{
	if (uid != 0)
		return error_set(
			err, -EBUSY,
			"process %d of user %u, which is not a tproxyd, holds the name that keeps "
			"two instances apart",
			(int)pid, uid);
	if (pid == 0)
		return error_set(err, -EBUSY,
				 "another tproxyd works in this network namespace; which process "
				 "it is cannot be told");
	return error_set(err, -EBUSY,
			 "another tproxyd (process %d) works in this network namespace", (int)pid);
}

int instance_acquire(int *ret_fd, bool *ret_roots, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(INSTANCE_NAME));
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred peer = { 0 };
	socklen_t peer_len = sizeof(peer);

	if (fd < 0)
		return error_sys(err, -errno, "create the instance socket");
	memcpy(addr.sun_path + 1, INSTANCE_NAME, sizeof(INSTANCE_NAME) - 1);
	if (bind(fd, (const struct sockaddr *)&addr, len) == 0) {
		/* Nobody accepts: each process that asked who we are stays in the queue. */
		if (listen(fd, SOMAXCONN) < 0)
			return error_sys(err, -errno, "listen on the instance socket");
		*ret_fd = take_fd(&fd);
		return 0;
	}
	if (errno != EADDRINUSE)
		return error_sys(err, -errno, "bind the instance socket");
	/* Who has it: the credentials of a listener are those of the moment it called listen(). */
	if (connect(fd, (const struct sockaddr *)&addr, len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
		peer = (struct ucred){ 0 };
	if (ret_roots)
		*ret_roots = peer.uid == 0 && peer.pid != 0;
	return refuse(peer.pid, peer.uid, err);
}

static int on_caller(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     _unused_ void *userdata)
{
	/* Its connection is all it wanted. */
	_close_ int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)peer;
	return 0;
}

int instance_serve(sd_event *event, int fd, struct error *err)
{
	int r = sd_event_add_io(event, NULL, fd, EPOLLIN, on_caller, NULL);

	return r < 0 ? error_sys(err, r, "watch the instance socket") : 0;
}
