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

int host_links(struct link_list *ret, struct error *err)
{
	_Alignas(struct nlmsghdr) char buf[64];
	struct arena *arena = ret->arena;
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++) {
		struct nlmsghdr *request = mnl_nlmsg_put_header(buf);

		*ret = (struct link_list){ .arena = arena };
		request->nlmsg_type = RTM_GETLINK;
		request->nlmsg_flags = NLM_F_DUMP;
		(void)mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
		r = netlink_ask(NETLINK_ROUTE, request, on_link, ret);
	}
	if (r == 0 && !arena->failed)
		return 0;
	return error_sys(err, r < 0 ? r : arena->failed ? -ENOMEM : -EIO, "list interfaces");
}

const struct link *link_find(const struct link_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
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
