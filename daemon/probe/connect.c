/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/probe/connect.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/os/as_user.h"
#include "daemon/os/fd.h"
#include "daemon/os/io.h"
#include "daemon/os/sock_diag.h"

const struct ip_addr loopback[FAMILY_COUNT] = {
	[FAMILY_V4] = { .family = FAMILY_V4, .bytes = { 127, 0, 0, 1 } },
	[FAMILY_V6] = { .family = FAMILY_V6, .bytes = { [15] = 1 } },
};

int connect_admin_socket(const struct probe_target *target, pid_t *ret_envoy)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int r;

	if (fd < 0 || !io_unix_address(target->admin_socket, &addr))
		return -1;
	r = as_user(target->uid, target->gid, NULL);
	if (r == 0)
		r = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	as_ourselves();
	if (r < 0)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == target->uid)
		*ret_envoy = peer.pid;
	return take_fd(&fd);
}

int connect_loopback(enum family family, int type, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const void *addr = family == FAMILY_V4 ? (const void *)&v4 : (const void *)&v6;
	socklen_t len = family == FAMILY_V4 ? sizeof(v4) : sizeof(v6);
	_close_ int fd = socket(family_domain(family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, addr, len) < 0 && errno != EINPROGRESS))
		return -1;
	return take_fd(&fd);
}

bool port_is_proxys(const struct probe_target *target, uint16_t port)
{
	uid_t uid;

	return port && sock_tcp_listener(&loopback[FAMILY_V4], port, &uid, NULL) == 1 &&
	       uid == target->uid;
}
