/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/sock_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/os/netlink.h"
#include "daemon/os/sshd.h"

/* A process of the user can still receive or send; what only the kernel has to finish is not
 * counted. */
#define OPEN_STATES \
	(1U << TCP_ESTABLISHED | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT)

/* What to do with each socket of an answer, which stands in message. */
struct visitor {
	void (*visit)(const struct inet_diag_msg *msg, const struct nlmsghdr *message, void *data);
	void *data;
	uint32_t states; /* of the sockets that diag_dump() shows it */
};

static const int families[] = { [FAMILY_V4] = AF_INET, [FAMILY_V6] = AF_INET6 };

static int on_socket(const struct nlmsghdr *message, void *userdata)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(message);
	const struct visitor *visitor = userdata;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return MNL_CB_OK;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*msg)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	visitor->visit(msg, message, visitor->data);
	return message->nlmsg_flags & NLM_F_MULTI ? MNL_CB_OK : MNL_CB_STOP;
}

/* Shows the visitor the TCP sockets of a family; addr NULL: all with this local port (0: any), else
 * the one that a connection to addr would reach. */
static int diag_ask(enum family family, const struct ip_addr *addr, uint16_t port,
		    const struct visitor *visitor)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
	struct visitor copy = *visitor;
	int r;

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = addr ? 0 : NLM_F_DUMP;
	body->sdiag_family = (uint8_t)families[family];
	body->sdiag_protocol = IPPROTO_TCP;
	body->idiag_states = visitor->states;
	body->id.idiag_sport = htons(port);
	body->id.idiag_cookie[0] = body->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (addr)
		memcpy(body->id.idiag_src, addr->bytes, sizeof(addr->bytes));
	r = netlink_ask(NETLINK_SOCK_DIAG, request, on_socket, &copy);
	return r == NETLINK_LOST ? -EIO : r;
}

/* Shows the visitor the TCP sockets of a family in its states; port 0: any local port. */
static int diag_dump(enum family family, uint16_t port, const struct visitor *visitor,
		     struct error *err)
{
	int r = diag_ask(family, NULL, port, visitor);

	/* A kernel without IPv6. */
	if (family == FAMILY_V6 && (r == -ENOENT || r == -EAFNOSUPPORT))
		return 0;
	return r < 0 ? error_sys(err, r, "list %s sockets", family_name(family)) : 0;
}

struct found {
	bool listens;
	uid_t uid;
};

static void visit_exact(const struct inet_diag_msg *msg, const struct nlmsghdr *message _unused_,
			void *data)
{
	struct found *found = data;

	found->listens = msg->idiag_state == TCP_LISTEN;
	found->uid = msg->idiag_uid;
}

int sock_tcp_listener(const struct ip_addr *addr, uint16_t port, uid_t *ret_uid, struct error *err)
{
	struct found found = { 0 };
	const struct visitor visitor = { visit_exact, &found, ~0U };
	int r = diag_ask(addr->family, addr, port, &visitor);

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
	struct socket_list sockets;
};

/* The cgroup in which the socket was made; 0: the kernel does not say. */
static uint64_t cgroup_of(const struct nlmsghdr *message)
{
	const struct nlattr *a;

	netlink_for_each(a, message, sizeof(struct inet_diag_msg))
	{
		if (mnl_attr_get_type(a) == INET_DIAG_CGROUP_ID &&
		    mnl_attr_get_payload_len(a) == sizeof(uint64_t))
			return mnl_attr_get_u64(a);
	}
	return 0;
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
		     const struct nlmsghdr *message)
{
	if (sshd->no_cgroups && msg->idiag_uid == 0 && ntohs(msg->id.idiag_sport) == 22)
		return true;
	return sshd_sockets_has(sshd, cgroup_of(message), msg->idiag_inode);
}

static void visit_listener(const struct inet_diag_msg *msg, const struct nlmsghdr *message,
			   void *data)
{
	struct listing *listing = data;

	if (msg->idiag_state != TCP_LISTEN)
		return;
	array_push(listing->arena, &listing->sockets,
		   (struct facts_socket){
			   .addr = local_address(msg),
			   .port = ntohs(msg->id.idiag_sport),
			   .uid = msg->idiag_uid,
			   .sshd = is_sshds(listing->sshd, msg, message),
		   });
}

/* Shows the visitor all TCP sockets in its states, once it is known which are sshd's. */
static int dump_beside_sshd(struct sshd_sockets *sshd, const struct visitor *visitor,
			    struct error *err)
{
	int r = 0;

	sshd_sockets_find(sshd);
	if (sshd->arena.failed)
		return error_sys(err, -ENOMEM, "look for sshd's sockets");
	for (enum family family = 0; family < FAMILY_COUNT && r >= 0; family++)
		r = diag_dump(family, 0, visitor, err);
	return r;
}

int sock_tcp_listeners(struct arena *arena, struct socket_list *ret, struct error *err)
{
	_cleanup_(sshd_sockets_done) struct sshd_sockets sshd = { 0 };
	struct listing listing = { .arena = arena, .sshd = &sshd };
	const struct visitor visitor = { visit_listener, &listing, 1U << TCP_LISTEN };
	int r = dump_beside_sshd(&sshd, &visitor, err);

	if (r == 0)
		*ret = listing.sockets;
	return r;
}

struct count {
	uid_t uid;
	uint16_t port;
	size_t n;
};

static void visit_connection(const struct inet_diag_msg *msg,
			     const struct nlmsghdr *message _unused_, void *data)
{
	struct count *count = data;
	/* Established, and not accepted yet: it has no owner so far, and will have ours. */
	bool queued = msg->idiag_inode == 0 && msg->idiag_state == TCP_ESTABLISHED;
	bool owned = msg->idiag_inode != 0 && msg->idiag_uid == count->uid;

	if (ntohs(msg->id.idiag_sport) == count->port && (queued || owned))
		count->n++;
}

int sock_tcp_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret, struct error *err)
{
	struct count count = { .uid = uid };
	const struct visitor visitor = { visit_connection, &count, OPEN_STATES };
	int r;

	for (size_t i = 0; i < n; i++) {
		count.port = ports[i];
		for (enum family family = 0; family < FAMILY_COUNT && ports[i] != 0; family++) {
			r = diag_dump(family, ports[i], &visitor, err);
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
	const struct socket_list *listeners;
	struct port_list ports;
};

static bool is_sshd_port(const struct sessions *sessions, uint16_t port)
{
	const struct socket_list *list = sessions->listeners;

	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].sshd && list->items[i].port == port)
			return true;
	return false;
}

static void visit_session(const struct inet_diag_msg *msg, const struct nlmsghdr *message,
			  void *data)
{
	struct sessions *sessions = data;
	uint16_t port = ntohs(msg->id.idiag_sport);
	/* A session may outlive its listener (a changed port); it has inherited its unit and its
	 * owner. What users connect from there is theirs. */
	bool inherited = msg->idiag_uid == 0 && is_sshds(sessions->sshd, msg, message);

	if (!inherited && !is_sshd_port(sessions, port))
		return;
	for (size_t i = 0; i < sessions->ports.n; i++)
		if (sessions->ports.items[i] == port)
			return;
	array_push(sessions->arena, &sessions->ports, port);
}

int sock_ssh_sessions(struct arena *arena, const struct socket_list *listeners,
		      struct port_list *ret, struct error *err)
{
	_cleanup_(sshd_sockets_done) struct sshd_sockets sshd = { 0 };
	struct sessions sessions = { .arena = arena, .sshd = &sshd, .listeners = listeners };
	const struct visitor visitor = { visit_session, &sessions, 1U << TCP_ESTABLISHED };
	int r = dump_beside_sshd(&sshd, &visitor, err);

	if (r == 0)
		*ret = sessions.ports;
	return r;
}
