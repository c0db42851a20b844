/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/sock_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/os/fd.h"
#include "daemon/os/sshd.h"

/* A process of the user can still receive or send; what only the kernel has to finish is not
 * counted. */
#define OPEN_STATES \
	(1U << TCP_ESTABLISHED | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT)

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 body;
};

/* What to do with each socket of an answer; attrs_len bytes of attributes stand behind msg. */
struct visitor {
	void (*visit)(const struct inet_diag_msg *msg, size_t attrs_len, void *data);
	void *data;
	uint32_t states; /* of the sockets that diag_dump() shows it */
};

static const int families[] = { [FAMILY_V4] = AF_INET, [FAMILY_V6] = AF_INET6 };

static int diag_open(struct error *err)
{
	/* The kernel answers at once; a limit all the same, for nobody may block us. */
	const struct timeval limit = { .tv_sec = 2 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return error_sys(err, -errno, "open a sock_diag socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int diag_send(int fd, struct request *request)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	request->header.nlmsg_len = sizeof(*request);
	request->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->header.nlmsg_flags |= NLM_F_REQUEST;
	request->body.sdiag_protocol = IPPROTO_TCP;
	request->body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	request->body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (sendto(fd, request, sizeof(*request), 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	return 0;
}

/* Returns 1 at the end of the answer, 0 when more follows, or a negative errno. */
static int diag_message(const struct nlmsghdr *header, const struct visitor *visitor)
{
	const struct inet_diag_msg *msg = NLMSG_DATA(header);

	if (header->nlmsg_type == NLMSG_DONE)
		return 1;
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(header);

		if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
			return -EBADMSG;
		return error->error < 0 ? error->error : 1;
	}
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return -EBADMSG;
	visitor->visit(msg, NLMSG_PAYLOAD(header, sizeof(*msg)), visitor->data);
	return header->nlmsg_flags & NLM_F_MULTI ? 0 : 1;
}

static int diag_receive(int fd, const struct visitor *visitor)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		const struct nlmsghdr *header = (const struct nlmsghdr *)(const void *)buf;
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_TRUNC);
		unsigned left;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n > sizeof(buf))
			return -ENOBUFS;
		left = (unsigned)n;
		for (; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
			int r = diag_message(header, visitor);

			if (r != 0)
				return r < 0 ? r : 0;
		}
	}
}

/* Shows the visitor the TCP sockets of a family in its states; port 0: any local port. */
static int diag_dump(int fd, enum family family, uint16_t port, const struct visitor *visitor,
		     struct error *err)
{
	struct request request = {
		.header.nlmsg_flags = NLM_F_DUMP,
		.body.sdiag_family = (uint8_t)families[family],
		.body.idiag_states = visitor->states,
		.body.id.idiag_sport = htons(port),
	};
	int r;

	r = diag_send(fd, &request);
	if (r >= 0)
		r = diag_receive(fd, visitor);
	/* A kernel without IPv6. */
	if (family == FAMILY_V6 && (r == -ENOENT || r == -EAFNOSUPPORT))
		return 0;
	return r < 0 ? error_sys(err, r, "list %s sockets", family_name(family)) : 0;
}

struct found {
	bool listens;
	uid_t uid;
};

static void visit_exact(const struct inet_diag_msg *msg, size_t attrs_len, void *data)
{
	struct found *found = data;

	(void)attrs_len;
	found->listens = msg->idiag_state == TCP_LISTEN;
	found->uid = msg->idiag_uid;
}

int sock_tcp_listener(const struct ip_addr *addr, uint16_t port, uid_t *ret_uid, struct error *err)
{
	struct found found = { 0 };
	const struct visitor visitor = { visit_exact, &found, ~0U };
	struct request request = {
		.body.sdiag_family = (uint8_t)families[addr->family],
		.body.idiag_states = visitor.states,
		.body.id.idiag_sport = htons(port),
	};
	_close_ int fd = diag_open(err);
	int r;

	if (fd < 0)
		return fd;
	memcpy(request.body.id.idiag_src, addr->bytes, sizeof(addr->bytes));
	r = diag_send(fd, &request);
	if (r >= 0)
		r = diag_receive(fd, &visitor);
	if (r == -ENOENT || (addr->family == FAMILY_V6 && r == -EAFNOSUPPORT))
		return 0;
	if (r < 0)
		return error_sys(err, r, "look for the listener on port %u", port);
	if (!found.listens)
		return 0;
	*ret_uid = found.uid;
	return 1;
}

struct listing {
	struct arena *arena;
	const struct sshd_sockets *sshd;
	struct {
		struct facts_socket *items;
		size_t n;
	} sockets;
};

/* The cgroup in which the socket was made; 0: the kernel does not say. */
static uint64_t cgroup_of(const struct inet_diag_msg *msg, size_t attrs_len)
{
	const struct nlattr *attr = (const struct nlattr *)(msg + 1);
	uint64_t id = 0;

	while (attrs_len >= sizeof(*attr) && attr->nla_len >= sizeof(*attr) &&
	       attr->nla_len <= attrs_len) {
		size_t step = NLMSG_ALIGN(attr->nla_len);

		if (attr->nla_type == INET_DIAG_CGROUP_ID &&
		    attr->nla_len == sizeof(*attr) + sizeof(id))
			memcpy(&id, attr + 1, sizeof(id));
		if (step >= attrs_len)
			break;
		attrs_len -= step;
		attr = (const struct nlattr *)(const void *)((const char *)attr + step);
	}
	return id;
}

static struct ip_addr local_address(const struct inet_diag_msg *msg)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *src = (const uint8_t *)msg->id.idiag_src;
	struct ip_addr addr = { .family = FAMILY_V6 };

	if (msg->idiag_family == AF_INET6 && memcmp(src, mapped, sizeof(mapped)) != 0) {
		memcpy(addr.bytes, src, 16);
		return addr;
	}
	addr.family = FAMILY_V4;
	memcpy(addr.bytes, msg->idiag_family == AF_INET6 ? src + 12 : src, 4);
	return addr;
}

/* Where nothing tells units apart, root's port 22 is sshd's: to protect a port too many is better
 * than to lock the operator out. */
static bool is_sshds(const struct sshd_sockets *sshd, const struct inet_diag_msg *msg,
		     size_t attrs_len)
{
	if (sshd->no_cgroups && msg->idiag_uid == 0 && ntohs(msg->id.idiag_sport) == 22)
		return true;
	return sshd_sockets_has(sshd, cgroup_of(msg, attrs_len), msg->idiag_inode);
}

static void visit_listener(const struct inet_diag_msg *msg, size_t attrs_len, void *data)
{
	struct listing *listing = data;

	if (msg->idiag_state != TCP_LISTEN)
		return;
	array_push(listing->arena, &listing->sockets,
		   (struct facts_socket){
			   .addr = local_address(msg),
			   .port = ntohs(msg->id.idiag_sport),
			   .uid = msg->idiag_uid,
			   .sshd = is_sshds(listing->sshd, msg, attrs_len),
		   });
}

/* Shows the visitor all TCP sockets in its states, once it is known which are sshd's. */
static int dump_beside_sshd(struct sshd_sockets *sshd, const struct visitor *visitor,
			    struct error *err)
{
	_close_ int fd = diag_open(err);
	int r = 0;

	if (fd < 0)
		return fd;
	sshd_sockets_find(sshd);
	if (sshd->arena.failed)
		return error_sys(err, -ENOMEM, "look for sshd's sockets");
	for (enum family family = 0; family < FAMILY_COUNT && r >= 0; family++)
		r = diag_dump(fd, family, 0, visitor, err);
	return r;
}

int sock_tcp_listeners(struct arena *arena, const struct facts_socket **ret, size_t *ret_n,
		       struct error *err)
{
	_cleanup_(sshd_sockets_done) struct sshd_sockets sshd = { 0 };
	struct listing listing = { .arena = arena, .sshd = &sshd };
	const struct visitor visitor = { visit_listener, &listing, 1U << TCP_LISTEN };
	int r = dump_beside_sshd(&sshd, &visitor, err);

	if (r < 0)
		return r;
	*ret = listing.sockets.items;
	*ret_n = listing.sockets.n;
	return 0;
}

struct count {
	uid_t uid;
	uint16_t port;
	size_t n;
};

static void visit_connection(const struct inet_diag_msg *msg, size_t attrs_len, void *data)
{
	struct count *count = data;
	/* Established, and not accepted yet: it has no owner so far, and will have ours. */
	bool queued = msg->idiag_inode == 0 && msg->idiag_state == TCP_ESTABLISHED;
	bool owned = msg->idiag_inode != 0 && msg->idiag_uid == count->uid;

	(void)attrs_len;
	if (ntohs(msg->id.idiag_sport) == count->port && (queued || owned))
		count->n++;
}

int sock_tcp_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret, struct error *err)
{
	struct count count = { .uid = uid };
	const struct visitor visitor = { visit_connection, &count, OPEN_STATES };
	_close_ int fd = diag_open(err);
	int r;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < n; i++) {
		count.port = ports[i];
		for (enum family family = 0; family < FAMILY_COUNT && ports[i] != 0; family++) {
			r = diag_dump(fd, family, ports[i], &visitor, err);
			if (r < 0)
				return r;
		}
	}
	*ret = count.n;
	return 0;
}

struct sessions {
	struct arena *arena;
	const struct sshd_sockets *sshd;
	const struct facts_socket *listeners;
	size_t n_listeners;
	struct {
		uint16_t *items;
		size_t n;
	} ports;
};

static bool is_sshd_port(const struct sessions *sessions, uint16_t port)
{
	for (size_t i = 0; i < sessions->n_listeners; i++)
		if (sessions->listeners[i].sshd && sessions->listeners[i].port == port)
			return true;
	return false;
}

static void visit_session(const struct inet_diag_msg *msg, size_t attrs_len, void *data)
{
	struct sessions *sessions = data;
	uint16_t port = ntohs(msg->id.idiag_sport);
	/* A session may outlive its listener (a changed port); it has inherited its unit and its
	 * owner. What users connect from there is theirs. */
	bool inherited = msg->idiag_uid == 0 && is_sshds(sessions->sshd, msg, attrs_len);

	if (!inherited && !is_sshd_port(sessions, port))
		return;
	for (size_t i = 0; i < sessions->ports.n; i++)
		if (sessions->ports.items[i] == port)
			return;
	array_push(sessions->arena, &sessions->ports, port);
}

int sock_ssh_sessions(struct arena *arena, const struct facts_socket *listeners, size_t n_listeners,
		      struct port_list_u16 *ret, struct error *err)
{
	_cleanup_(sshd_sockets_done) struct sshd_sockets sshd = { 0 };
	struct sessions sessions = {
		.arena = arena, .sshd = &sshd, .listeners = listeners, .n_listeners = n_listeners
	};
	const struct visitor visitor = { visit_session, &sessions, 1U << TCP_ESTABLISHED };
	int r = dump_beside_sshd(&sshd, &visitor, err);

	if (r < 0)
		return r;
	*ret = (struct port_list_u16){ sessions.ports.items, sessions.ports.n };
	return 0;
}
