/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/loopback.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "daemon/os/netlink.h"

static const struct in6_addr passthrough = { .s6_addr = { [15] = 6 } };

struct search {
	unsigned index;
	bool found;
};

/* Asks about ::6/128 on the interface: RTM_NEWADDR, RTM_DELADDR; or lists (RTM_GETADDR). */
static int ask(uint16_t type, uint16_t flags, struct search *search, mnl_cb_t on_message)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(request, sizeof(*address));

	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	address->ifa_family = AF_INET6;
	if (type != RTM_GETADDR) {
		address->ifa_prefixlen = 128;
		address->ifa_flags = IFA_F_NODAD;
		address->ifa_scope = RT_SCOPE_UNIVERSE;
		address->ifa_index = search->index;
		mnl_attr_put(request, IFA_LOCAL, sizeof(passthrough), &passthrough);
	}
	return netlink_ask(NETLINK_ROUTE, request, on_message, search);
}

static int on_address(const struct nlmsghdr *message, void *userdata)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	struct search *search = userdata;
	const struct nlattr *a;

	if (message->nlmsg_type != RTM_NEWADDR || address->ifa_index != search->index ||
	    address->ifa_family != AF_INET6)
		return MNL_CB_OK;
	netlink_for_each(a, message, sizeof(*address))
	{
		if (mnl_attr_get_type(a) == IFA_ADDRESS &&
		    mnl_attr_get_payload_len(a) == sizeof(passthrough) &&
		    memcmp(mnl_attr_get_payload(a), &passthrough, sizeof(passthrough)) == 0)
			search->found = true;
	}
	return MNL_CB_OK;
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
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		struct search search = { .index = index };

		r = ask(RTM_GETADDR, NLM_F_DUMP, &search, on_address);
		*ret = search.found;
	}
	return r == NETLINK_LOST ? -EIO : r;
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
	struct search search = { .index = index };
	bool found;
	int r = ask(type, (uint16_t)(NLM_F_ACK | flags), &search, NULL);

	if (r != NETLINK_LOST)
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
