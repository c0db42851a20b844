/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/instance.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/fd.h"

#define INSTANCE_NAME "tproxyd" /* behind the NUL that makes it abstract */

int instance_acquire(int *ret_fd, pid_t *ret_pid, uid_t *ret_uid, struct error *err)
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
		if (listen(fd, 1) < 0)
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
	*ret_pid = peer.pid;
	*ret_uid = peer.uid;
	return INSTANCE_TAKEN;
}

int instance_refuse(pid_t pid, uid_t uid, struct error *err)
{
	if (uid != 0)
		return error_set(
			err, -EBUSY,
			"process %d of user %u, which is not a tproxyd, holds the name that keeps "
			"two instances apart",
			(int)pid, uid);
	return error_set(err, -EBUSY,
			 "another tproxyd (process %d) works in this network namespace", (int)pid);
}
