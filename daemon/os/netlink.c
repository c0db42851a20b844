/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/netlink.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <libnftnl/common.h>
#include <libnftnl/set.h>

#include "common/base/cleanup.h"

#define ANSWER_MAX 32768 /* the longest datagram that the kernel makes of a listing */

/* To netfilter, between two questions: closing a socket to it waits until what was last changed in
 * nf_tables, by anybody, is destroyed: 10 to 20 ms. */
static struct mnl_socket *spare_socket;

static struct mnl_socket *open_socket(int protocol)
{
	/* The kernel answers at once; a limit all the same, for nobody may block us. */
	static const struct timeval limit = { .tv_sec = 5 };
	struct mnl_socket *s = mnl_socket_open2(protocol, SOCK_CLOEXEC);

	if (s)
		(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &limit,
				 sizeof(limit));
	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) >= 0)
		return s;
	(void)mnl_socket_close(s);
	return NULL;
}

/* One question may be asked while the answer to another one is read. */
static struct mnl_socket *take_socket(int protocol)
{
	struct mnl_socket *s = protocol == NETLINK_NETFILTER ? take_ptr(spare_socket) : NULL;

	if (!s)
		return open_socket(protocol);
	netlink_drain(mnl_socket_get_fd(s));
	return s;
}

static void give_socket(int protocol, struct mnl_socket *s)
{
	if (protocol == NETLINK_NETFILTER && !spare_socket)
		spare_socket = s;
	else
		(void)mnl_socket_close(s);
}

const struct nlattr *netlink_attribute(const struct nlmsghdr *message, unsigned type)
{
	const struct nlattr *a;

	netlink_for_each(a, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

const struct nlattr *netlink_nested(const struct nlattr *holder, unsigned type)
{
	const struct nlattr *a = holder ? mnl_attr_get_payload(holder) : NULL;

	while (a && netlink_is_in(a, holder) && mnl_attr_get_type(a) != type)
		a = mnl_attr_next(a);
	return a && netlink_is_in(a, holder) ? a : NULL;
}

uint32_t netlink_port(int fd)
{
	struct sockaddr_nl address = { 0 };
	socklen_t len = sizeof(address);

	return getsockname(fd, (void *)&address, &len) < 0 ? 0 : address.nl_pid;
}

void netlink_drain(int fd)
{
	char answer[64];
	int overruns = 0;

	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) >= 0 ||
	       (errno == ENOBUFS && overruns++ < NETLINK_OVERRUNS_MAX))
		continue;
}

/* Whether others have changed what is listed. libmnl would read no further. */
static bool take_interruptions(char *answer, size_t n)
{
	struct nlmsghdr *message = (void *)answer;
	bool any = false;

	for (int left = (int)n; mnl_nlmsg_ok(message, left);
	     message = mnl_nlmsg_next(message, &left)) {
		any = any || (message->nlmsg_flags & NLM_F_DUMP_INTR);
		message->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
	}
	return any;
}

static int ask(const struct mnl_socket *s, const struct nlmsghdr *request, mnl_cb_t on_message,
	       void *userdata)
{
	_Alignas(struct nlmsghdr) _unset_ char answer[ANSWER_MAX];
	bool interrupted = false;
	int r = MNL_CB_OK;

	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(s, answer, sizeof(answer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NETLINK_LOST;
		interrupted |= take_interruptions(answer, (size_t)n);
		errno = 0;
		r = mnl_cb_run(answer, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s),
			       on_message, userdata);
	}
	/* What reads messages may fail without an error of its own. */
	if (r < 0)
		return errno != 0 ? -errno : -EBADMSG;
	return interrupted ? -EINTR : 0;
}

int netlink_ask(int protocol, struct nlmsghdr *request, mnl_cb_t on_message, void *userdata)
{
	struct mnl_socket *s = take_socket(protocol);
	int r;

	if (!s)
		return -errno;
	request->nlmsg_flags |= NLM_F_REQUEST;
	request->nlmsg_seq = 1;
	r = ask(s, request, on_message, userdata);
	give_socket(protocol, s);
	return r;
}

bool netlink_nft_is_absent(int r)
{
	return r == -EPROTONOSUPPORT || r == -EINVAL || r == -EOPNOTSUPP;
}

int netlink_list_nft(uint16_t what, mnl_cb_t on_message, void *userdata)
{
	_Alignas(struct nlmsghdr) char request[64];

	return netlink_ask(NETLINK_NETFILTER,
			   nftnl_nlmsg_build_hdr(request, what, NFPROTO_UNSPEC, NLM_F_DUMP, 1),
			   on_message, userdata);
}

static int on_elements(const struct nlmsghdr *message, void *userdata)
{
	return nftnl_set_elems_nlmsg_parse(message, userdata) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

int netlink_fill_nft_set(struct nftnl_set *set)
{
	_Alignas(struct nlmsghdr) char buf[2048]; /* two names of at most 255 bytes */
	struct nlmsghdr *request = nftnl_nlmsg_build_hdr(
		buf, NFT_MSG_GETSETELEM, (uint16_t)nftnl_set_get_u32(set, NFTNL_SET_FAMILY),
		NLM_F_DUMP, 1);

	nftnl_set_elems_nlmsg_build_payload(request, set);
	return netlink_ask(NETLINK_NETFILTER, request, on_elements, set);
}
