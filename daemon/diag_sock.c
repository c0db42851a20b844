/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/diag_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/diag_unit.h"
#include "daemon/fd.h"

/* inet_diag's attribute with the inode number of the cgroup in which a socket was made (Linux 5.9);
 * older headers do not name it. */
#define DIAG_CGROUP_ID 21

#define STATE(state) (1U << (state))
/* States in which bytes can still move, or in which a connection is about to come to be. */
#define STATES_OPEN                                                            \
	(STATE(TCP_ESTABLISHED) | STATE(TCP_SYN_SENT) | STATE(TCP_SYN_RECV) |  \
	 STATE(TCP_FIN_WAIT1) | STATE(TCP_FIN_WAIT2) | STATE(TCP_CLOSE_WAIT) | \
	 STATE(TCP_LAST_ACK) | STATE(TCP_CLOSING))

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

typedef int visit_t(const struct inet_diag_msg *msg, size_t len, void *userdata);

static struct request request_for(enum family family, unsigned states, uint16_t flags)
{
	return (struct request){
		.header = { .nlmsg_len = sizeof(struct request),
			    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.diag = { .sdiag_family = family == FAMILY_V4 ? AF_INET : AF_INET6,
			  .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = states,
			  .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
}

static int open_diag(int *ret_fd, struct error *err)
{
	const struct timeval timeout = { .tv_sec = 2 };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return error_sys(err, -errno, "open sock_diag");
	/* The kernel answers at once; the limit is for the day it does not. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return error_sys(err, -errno, "limit the time for sock_diag");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Sends the request and calls visit for each answer. Returns how many there were, or a negative
 * errno. */
static int ask(int fd, const struct request *request, visit_t *visit, void *userdata,
	       struct error *err)
{
	_Alignas(struct nlmsghdr) char buf[16384];
	bool dump = request->header.nlmsg_flags & NLM_F_DUMP;
	int count = 0;

	if (send(fd, request, sizeof(*request), 0) != (ssize_t)sizeof(*request))
		return error_sys(err, -errno, "ask sock_diag");
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		unsigned left = n > 0 ? (unsigned)n : 0;

		if (n < 0)
			return error_sys(err, -errno, "read sock_diag");
		for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; NLMSG_OK(h, left);
		     h = NLMSG_NEXT(h, left)) {
			int r;

			if (h->nlmsg_type == NLMSG_DONE)
				return count;
			if (h->nlmsg_type == NLMSG_ERROR) {
				const struct nlmsgerr *e = NLMSG_DATA(h);

				if (e->error == -ENOENT)
					return count;
				return error_sys(err, e->error, "sock_diag");
			}
			if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				return error_set(err, -EPROTO, "sock_diag: short answer");
			r = visit(NLMSG_DATA(h), h->nlmsg_len - NLMSG_HDRLEN, userdata);
			if (r < 0)
				return error_sys(err, r, "read sock_diag");
			count++;
			if (!dump)
				return count;
		}
	}
}

static int note_uid(const struct inet_diag_msg *msg, _unused_ size_t len, void *userdata)
{
	uid_t *uid = userdata;

	if (msg->idiag_state != TCP_LISTEN)
		return 0;
	*uid = msg->idiag_uid;
	return 0;
}

int sock_tcp_listener(const struct ip_addr *addr, uint16_t port, uid_t *ret_uid, struct error *err)
{
	struct request request = request_for(addr->family, STATE(TCP_LISTEN), 0);
	_close_ int fd = -EBADF;
	uid_t uid = (uid_t)-1;
	int r = open_diag(&fd, err);

	if (r < 0)
		return r;
	request.diag.id.idiag_sport = htons(port);
	memcpy(request.diag.id.idiag_src, addr->bytes, addr->family == FAMILY_V4 ? 4 : 16);
	r = ask(fd, &request, note_uid, &uid, err);
	if (r < 0)
		return r;
	if (uid == (uid_t)-1)
		return 0;
	*ret_uid = uid;
	return 1;
}

struct listeners {
	struct arena *arena;
	struct ssh_units units;
	struct {
		struct facts_socket *items;
		size_t n;
	} list;
};

/* The attributes behind a message (netlink(7)): aligned to 4 bytes, each with its length in front.
 */
static uint64_t cgroup_of(const struct inet_diag_msg *msg, size_t len)
{
	const unsigned char *p = (const unsigned char *)(msg + 1);
	size_t left = len - sizeof(*msg);
	uint64_t id = 0;

	while (left >= sizeof(struct nlattr)) {
		struct nlattr attr;
		size_t step;

		memcpy(&attr, p, sizeof(attr));
		step = NLMSG_ALIGN(attr.nla_len);
		if (attr.nla_len < sizeof(attr) || attr.nla_len > left)
			break;
		if (attr.nla_type == DIAG_CGROUP_ID && attr.nla_len == sizeof(attr) + sizeof(id))
			memcpy(&id, p + sizeof(attr), sizeof(id));
		if (step >= left)
			break;
		p += step;
		left -= step;
	}
	return id;
}

static struct ip_addr address_of(const struct inet_diag_msg *msg)
{
	struct ip_addr addr = { .family = msg->idiag_family == AF_INET ? FAMILY_V4 : FAMILY_V6 };

	memcpy(addr.bytes, msg->id.idiag_src, addr.family == FAMILY_V4 ? 4 : 16);
	return addr;
}

static int note_listener(const struct inet_diag_msg *msg, size_t len, void *userdata)
{
	struct listeners *listeners = userdata;
	struct facts_socket socket = {
		.addr = address_of(msg),
		.port = ntohs(msg->id.idiag_sport),
		.uid = msg->idiag_uid,
	};

	socket.sshd =
		ssh_units_have(&listeners->units, cgroup_of(msg, len), socket.port, socket.uid);
	array_push(listeners->arena, &listeners->list, socket);
	return listeners->arena->failed ? -ENOMEM : 0;
}

int sock_tcp_listeners(struct arena *arena, const struct facts_socket **ret, size_t *ret_n,
		       struct error *err)
{
	struct listeners listeners = { .arena = arena };

	ssh_units_find(arena, &listeners.units);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		struct request request = request_for((enum family)f, STATE(TCP_LISTEN), NLM_F_DUMP);
		_close_ int fd = -EBADF;
		int r = open_diag(&fd, err);

		if (r >= 0)
			r = ask(fd, &request, note_listener, &listeners, err);
		if (r < 0)
			return r;
	}
	*ret = listeners.list.items;
	*ret_n = listeners.list.n;
	return 0;
}

struct connections {
	const uint16_t *ports;
	size_t n_ports;
	uid_t uid;
	size_t count;
};

static int count_connection(const struct inet_diag_msg *msg, _unused_ size_t len, void *userdata)
{
	struct connections *connections = userdata;

	/* A request socket (SYN_RECV) carries the uid of its listener. */
	for (size_t i = 0; i < connections->n_ports; i++)
		if (ntohs(msg->id.idiag_sport) == connections->ports[i] &&
		    msg->idiag_uid == connections->uid)
			connections->count++;
	return 0;
}

int sock_tcp_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret, struct error *err)
{
	struct connections connections = { ports, n, uid, 0 };

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		struct request request = request_for((enum family)f, STATES_OPEN, NLM_F_DUMP);
		_close_ int fd = -EBADF;
		int r = open_diag(&fd, err);

		if (r >= 0)
			r = ask(fd, &request, count_connection, &connections, err);
		if (r < 0)
			return r;
	}
	*ret = connections.count;
	return 0;
}

struct sessions {
	struct arena *arena;
	struct ssh_units units;
	const struct facts_socket *listeners;
	size_t n_listeners;
	struct {
		uint16_t *items;
		size_t n;
	} ports;
};

static int note_session(const struct inet_diag_msg *msg, _unused_ size_t len, void *userdata)
{
	struct sessions *sessions = userdata;
	uint16_t port = ntohs(msg->id.idiag_sport);
	bool sshd = false;

	for (size_t i = 0; i < sessions->n_listeners; i++)
		if (sessions->listeners[i].sshd && sessions->listeners[i].port == port)
			sshd = true;
	/* A session may outlive its listener (socket activation, a changed port): ask for its own
	 * unit. */
	if (!sshd && !ssh_units_have(&sessions->units, cgroup_of(msg, len), port, msg->idiag_uid))
		return 0;
	for (size_t i = 0; i < sessions->ports.n; i++)
		if (sessions->ports.items[i] == port)
			return 0;
	array_push(sessions->arena, &sessions->ports, port);
	return sessions->arena->failed ? -ENOMEM : 0;
}

int sock_ssh_sessions(struct arena *arena, const struct facts_socket *listeners, size_t n_listeners,
		      const uint16_t **ret, size_t *ret_n, struct error *err)
{
	struct sessions sessions = { .arena = arena,
				     .listeners = listeners,
				     .n_listeners = n_listeners };

	ssh_units_find(arena, &sessions.units);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		struct request request =
			request_for((enum family)f, STATE(TCP_ESTABLISHED), NLM_F_DUMP);
		_close_ int fd = -EBADF;
		int r = open_diag(&fd, err);

		if (r >= 0)
			r = ask(fd, &request, note_session, &sessions, err);
		if (r < 0)
			return r;
	}
	*ret = sessions.ports.items;
	*ret_n = sessions.ports.n;
	return 0;
}
