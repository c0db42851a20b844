/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/links.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "common/base/array.h"
#include "daemon/os/netlink.h"

static void read_kind(struct arena *arena, const struct nlattr *info, struct link *link)
{
	const struct nlattr *a = mnl_attr_get_payload(info);

	for (; netlink_is_in(a, info); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			link->kind = arena_strdup(arena, mnl_attr_get_str(a));
}

static int on_link(const struct nlmsghdr *message, void *userdata)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(message);
	struct link link = {
		.index = (unsigned)head->ifi_index,
		.up = head->ifi_flags & IFF_UP,
		.loopback = head->ifi_flags & IFF_LOOPBACK,
	};
	struct link_list *list = userdata;
	const struct nlattr *a;

	netlink_for_each(a, message, sizeof(*head))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			link.name = arena_strdup(list->arena, mnl_attr_get_str(a));
		else if (mnl_attr_get_type(a) == IFLA_MASTER)
			link.master = mnl_attr_get_u32(a);
		else if (mnl_attr_get_type(a) == IFLA_LINKINFO)
			read_kind(list->arena, a, &link);
	}
	if (link.name)
		array_push(list->arena, list, link);
	return MNL_CB_OK;
}

/* Of a pair of addresses, IFA_LOCAL is this host's; most have no such pair. */
static int on_address(const struct nlmsghdr *message, void *userdata)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	struct link_address address = {
		.index = head->ifa_index,
		.addr.family = head->ifa_family == AF_INET6 ? FAMILY_V6 : FAMILY_V4,
	};
	size_t len = head->ifa_family == AF_INET6 ? 16 : 4;
	struct link_list *list = userdata;
	bool local = false, any = false;
	const struct nlattr *a;

	netlink_for_each(a, message, sizeof(*head))
	{
		unsigned type = mnl_attr_get_type(a);

		if (mnl_attr_get_payload_len(a) != len ||
		    !(type == IFA_LOCAL || (type == IFA_ADDRESS && !local)))
			continue;
		memcpy(address.addr.bytes, mnl_attr_get_payload(a), len);
		local = type == IFA_LOCAL;
		any = true;
	}
	if (any && (head->ifa_family == AF_INET || head->ifa_family == AF_INET6))
		array_push(list->arena, &list->addresses, address);
	return MNL_CB_OK;
}

static int ask(uint16_t what, mnl_cb_t on_message, struct link_list *ret)
{
	_Alignas(struct nlmsghdr) char buf[64];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);

	request->nlmsg_type = what;
	request->nlmsg_flags = NLM_F_DUMP;
	/* The longer of the two heads will do for both questions. */
	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	return netlink_ask(NETLINK_ROUTE, request, on_message, ret);
}

int host_links(struct link_list *ret, struct error *err)
{
	struct arena *arena = ret->arena;
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		*ret = (struct link_list){ .arena = arena };
		r = ask(RTM_GETLINK, on_link, ret);
		if (r == 0)
			r = ask(RTM_GETADDR, on_address, ret);
	}
	if (r == 0 && !arena->failed)
		return 0;
	return error_sys(err, r < 0 ? r : arena->failed ? -ENOMEM : -EIO, "list interfaces");
}

const struct link *link_find(const struct link_list *list, unsigned index)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].index == index)
			return &list->items[i];
	return NULL;
}

static bool is_kind(const struct link *link, const char *kind)
{
	return link->kind && strcmp(link->kind, kind) == 0;
}

bool link_is_inner(const struct link_list *list, const struct link *link)
{
	if (!is_kind(link, "bridge"))
		return false;
	for (size_t i = 0; i < list->n; i++) {
		const struct link *port = &list->items[i];

		if (port->master == link->index && !is_kind(port, "veth") && !is_kind(port, "tun"))
			return false;
	}
	return true;
}
