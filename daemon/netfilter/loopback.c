/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/loopback.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "daemon/os/fd.h"

#define ANSWER_MAX 8192

static const struct in6_addr passthrough = { .s6_addr = { [15] = 6 } };

struct request {
	struct nlmsghdr header;
	struct ifaddrmsg address;
	struct rtattr attribute;
	struct in6_addr local;
};

static int exchange_open(struct request *request, int *ret_fd)
{
	static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (sendto(fd, request, request->header.nlmsg_len, 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Asks for one change and returns the kernel's answer; NO_ANSWER, where that is lost. */
#define NO_ANSWER 1
static int change(uint16_t type, uint16_t flags, unsigned index)
{
	struct request request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = type,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
		},
		.address = {
			.ifa_family = AF_INET6,
			.ifa_prefixlen = 128,
			.ifa_flags = IFA_F_NODAD,
			.ifa_scope = RT_SCOPE_UNIVERSE,
			.ifa_index = index,
		},
		.attribute = {
			.rta_len = RTA_LENGTH(sizeof(request.local)),
			.rta_type = IFA_LOCAL,
		},
		.local = passthrough,
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} answer = { 0 };
	_close_ int fd = -EBADF;
	int r = exchange_open(&request, &fd);

	if (r < 0)
		return r;
	if (recv(fd, &answer, sizeof(answer), 0) < 0)
		return NO_ANSWER;
	if (answer.header.nlmsg_type != NLMSG_ERROR)
		return -EBADMSG;
	return answer.error.error;
}

static bool is_ours(const struct nlmsghdr *h, unsigned index)
{
	const struct ifaddrmsg *address = NLMSG_DATA(h);
	const struct rtattr *a = IFA_RTA(address);
	size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*address));

	if (h->nlmsg_type != RTM_NEWADDR || address->ifa_index != index ||
	    address->ifa_family != AF_INET6)
		return false;
	while (left >= sizeof(*a) && a->rta_len >= sizeof(*a) && a->rta_len <= left) {
		size_t step = RTA_ALIGN(a->rta_len);

		if (a->rta_type == IFA_ADDRESS && RTA_PAYLOAD(a) == sizeof(passthrough) &&
		    memcmp(RTA_DATA(a), &passthrough, sizeof(passthrough)) == 0)
			return true;
		if (step >= left)
			break;
		left -= step;
		a = (const void *)((const char *)a + step);
	}
	return false;
}

/* Looks at one datagram of the dump. Returns 1 at the end of the dump, 0 before it. */
static int look(const struct nlmsghdr *h, size_t len, unsigned index, bool *found)
{
	for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		if (is_ours(h, index))
			*found = true;
	}
	return 0;
}

static int find_index(const char *iface, unsigned *ret, struct error *err)
{
	*ret = if_nametoindex(iface);
	if (*ret == 0)
		return error_sys(err, -errno, "interface %s", iface);
	return 0;
}

static int find_address(unsigned index, bool *ret)
{
	struct request request = {
		.header = {
			.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
			.nlmsg_type = RTM_GETADDR,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.address = { .ifa_family = AF_INET6 },
	};
	_Alignas(struct nlmsghdr) char answer[ANSWER_MAX];
	_close_ int fd = -EBADF;
	int r = exchange_open(&request, &fd);

	*ret = false;
	while (r == 0) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);

		r = n < 0 ? -errno : look((const void *)answer, (size_t)n, index, ret);
	}
	return r < 0 ? r : 0;
}

int loopback_v6_present(const char *iface, bool *ret, struct error *err)
{
	unsigned index;
	bool found;
	int r = find_index(iface, &index, err);

	if (r < 0)
		return r;
	r = find_address(index, &found);
	if (r < 0)
		return error_sys(err, r, "list the IPv6 addresses of %s", iface);
	*ret = found;
	return 0;
}

/* Where the answer is lost, looks whether it is as it was asked for. */
static int change_and_look(uint16_t type, uint16_t flags, unsigned index)
{
	bool found;
	int r = change(type, flags, index);

	if (r != NO_ANSWER)
		return r;
	r = find_address(index, &found);
	if (r < 0)
		return r;
	return found == (type == RTM_NEWADDR) ? 0 : -EIO;
}

int loopback_v6_add(const char *iface, bool *ret_added, struct error *err)
{
	unsigned index;
	int r = find_index(iface, &index, err);

	if (r < 0)
		return r;
	r = change_and_look(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index);
	if (r < 0 && r != -EEXIST)
		return error_sys(err, r, "add ::6/128 to %s", iface);
	*ret_added = r == 0;
	return 0;
}

int loopback_v6_remove(const char *iface, struct error *err)
{
	unsigned index;
	int r = find_index(iface, &index, err);

	if (r == -ENODEV)
		return 0; /* and its addresses with it */
	if (r < 0)
		return r;
	r = change_and_look(RTM_DELADDR, 0, index);
	if (r < 0 && r != -EADDRNOTAVAIL)
		return error_sys(err, r, "remove ::6/128 from %s", iface);
	return 0;
}
