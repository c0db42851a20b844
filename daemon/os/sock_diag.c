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

/* A process of the user can still receive or send; what only the kernel has to finish is not
 * counted. */
#define OPEN_STATES \
	(1U << TCP_ESTABLISHED | 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 | 1U << TCP_CLOSE_WAIT)

/* A socket, and what is asked of it here alone. */
struct socket {
	struct facts_socket facts;
	uint8_t state;
	uint32_t inode;
	uint64_t cgroup; /* in which it was made; 0: the kernel does not say */
	bool v4_too;     /* IPv6 on all addresses, and those of IPv4 as well */
};

struct listing {
	struct arena *arena;
	uint8_t protocol; /* IPPROTO_UDP; 0: TCP */
	struct socket *items;
	size_t n;
};

/* What the kernel says beside the message; NULL: nothing of that type and length. */
static const struct nlattr *attribute_of(const struct nlmsghdr *message, uint16_t type, size_t len)
{
	const struct nlattr *a;

	netlink_for_each(a, message, sizeof(struct inet_diag_msg))
	{
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) == len)
			return a;
	}
	return NULL;
}

static uint64_t cgroup_of(const struct nlmsghdr *message)
{
	const struct nlattr *a = attribute_of(message, INET_DIAG_CGROUP_ID, sizeof(uint64_t));

	return a ? mnl_attr_get_u64(a) : 0;
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

static bool takes_v4_too(const struct inet_diag_msg *msg, const struct nlmsghdr *message)
{
	const struct ip_addr addr = local_address(msg);
	const struct nlattr *v6_only = attribute_of(message, INET_DIAG_SKV6ONLY, sizeof(uint8_t));

	return addr.family == FAMILY_V6 && ip_is_unspecified(&addr) && v6_only &&
	       !mnl_attr_get_u8(v6_only);
}

static int on_socket(const struct nlmsghdr *message, void *userdata)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(message);
	struct listing *listing = userdata;

	if (message->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return MNL_CB_OK;
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*msg)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	array_push(listing->arena, listing,
		   (struct socket){
			   .facts.addr = local_address(msg),
			   .facts.port = ntohs(msg->id.idiag_sport),
			   .facts.uid = msg->idiag_uid,
			   .state = msg->idiag_state,
			   .inode = msg->idiag_inode,
			   .cgroup = cgroup_of(message),
			   .v4_too = takes_v4_too(msg, message),
		   });
	return message->nlmsg_flags & NLM_F_MULTI ? MNL_CB_OK : MNL_CB_STOP;
}

/* Adds the TCP sockets of a family in these states; addr NULL: all with this local port (0: any),
 * else the one that a connection to addr would reach. */
static int diag_ask(enum family family, const struct ip_addr *addr, uint16_t port, uint32_t states,
		    struct listing *ret)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
	int r;

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = addr ? 0 : NLM_F_DUMP;
	body->sdiag_family = (uint8_t)family_domain(family);
	body->sdiag_protocol = ret->protocol ? ret->protocol : IPPROTO_TCP;
	body->idiag_states = states;
	body->id.idiag_sport = htons(port);
	body->id.idiag_cookie[0] = body->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (addr)
		memcpy(body->id.idiag_src, addr->bytes, sizeof(addr->bytes));
	r = netlink_ask(NETLINK_SOCK_DIAG, request, on_socket, ret);
	if (r == 0 && ret->arena->failed)
		return -ENOMEM;
	return r == NETLINK_LOST ? -EIO : r;
}

/* Adds the sockets of both families in these states; port 0: with any local port. */
static int diag_dump(uint16_t port, uint32_t states, struct listing *ret, struct error *err)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		int r = diag_ask(family, NULL, port, states, ret);

		/* A kernel without IPv6. */
		if (family == FAMILY_V6 && (r == -ENOENT || r == -EAFNOSUPPORT))
			continue;
		if (r < 0)
			return error_sys(err, r, "list %s sockets", family_name(family));
	}
	return 0;
}

int sock_tcp_listener(const struct ip_addr *addr, uint16_t port, uid_t *ret_uid, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct listing found = { .arena = &arena };
	int r = diag_ask(addr->family, addr, port, ~0U, &found);

	if (r == -ENOENT || (addr->family == FAMILY_V6 && r == -EAFNOSUPPORT))
		return 0;
	if (r < 0)
		return error_sys(err, r, "look for the listener on port %u", port);
	if (found.n == 0 || found.items[0].state != TCP_LISTEN)
		return 0;
	*ret_uid = found.items[0].facts.uid;
	return 1;
}

int sock_tcp_list(struct arena *arena, struct tcp_socket_list *ret, struct error *err)
{
	_cleanup_(arena_done) struct arena listed = { 0 };
	struct listing listing = { .arena = &listed };
	int r = diag_dump(0, 1U << TCP_LISTEN | 1U << TCP_ESTABLISHED, &listing, err);

	*ret = (struct tcp_socket_list){ 0 };
	for (size_t i = 0; i < listing.n && r == 0; i++) {
		const struct socket *s = &listing.items[i];
		bool listens = s->state == TCP_LISTEN;

		if (listens || s->facts.uid == 0)
			array_push(arena, ret,
				   (struct tcp_socket){ s->facts, listens, s->inode, s->cgroup });
	}
	return r;
}

int sock_udp(struct arena *arena, uint16_t port, struct socket_list *ret, struct error *err)
{
	struct listing listing = { .arena = arena, .protocol = IPPROTO_UDP };
	int r = diag_dump(port, ~0U, &listing, err);

	*ret = (struct socket_list){ 0 };
	for (size_t i = 0; i < listing.n && r == 0; i++) {
		struct facts_socket socket = listing.items[i].facts;

		socket.connected = listing.items[i].state == TCP_ESTABLISHED;
		array_push(arena, ret, socket);
		socket.addr.family = FAMILY_V4;
		if (listing.items[i].v4_too)
			array_push(arena, ret, socket);
	}
	return r;
}

int sock_tcp_connections(const uint16_t *ports, size_t n, uid_t uid, size_t *ret, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct listing listing = { .arena = &arena };
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		int r = ports[i] != 0 ? diag_dump(ports[i], OPEN_STATES, &listing, err) : 0;

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < listing.n; i++) {
		const struct socket *s = &listing.items[i];

		/* Established, and not accepted yet: it has no owner so far, and will have ours. */
		count += s->inode == 0 ? s->state == TCP_ESTABLISHED : s->facts.uid == uid;
	}
	*ret = count;
	return 0;
}
