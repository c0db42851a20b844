/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/loopback.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <linux/rtnetlink.h>

#include "daemon/os/fd.h"
#include "daemon/os/netlink.h"

static const struct in6_addr passthrough = { .s6_addr = { [15] = 6 } };

/* As they stand in if_inet6. */
#define PASSTHROUGH "00000000000000000000000000000006"
#define LOOPBACK    "00000000000000000000000000000001"

/* Asks for ::6/128 on the interface: RTM_NEWADDR, RTM_DELADDR. */
static int ask(uint16_t type, uint16_t flags, unsigned index)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(request, sizeof(*address));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_ACK | flags;
	address->ifa_family = AF_INET6;
	address->ifa_prefixlen = 128;
	address->ifa_flags = IFA_F_NODAD;
	address->ifa_scope = RT_SCOPE_UNIVERSE;
	address->ifa_index = index;
	mnl_attr_put(request, IFA_LOCAL, sizeof(passthrough), &passthrough);
	return netlink_ask(NETLINK_ROUTE, request, NULL, NULL);
}

static int find_index(const char *iface, unsigned *ret, struct error *err)
{
	*ret = if_nametoindex(iface);
	if (*ret == 0)
		return error_sys(err, -errno, "interface %s", iface);
	return 0;
}

static int find_address(const char *iface, const char *address, bool *ret)
{
	_fclose_ FILE *f = fopen("/proc/self/net/if_inet6", "re");
	char line[128], name[IF_NAMESIZE];

	*ret = false;
	if (!f)
		return errno == ENOENT ? 0 : -errno; /* a kernel without IPv6 */
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, address, strlen(address)) == 0 &&
		    sscanf(line, "%*s %*s %*s %*s %*s %15s", name) == 1 && strcmp(name, iface) == 0)
			*ret = true;
	return ferror(f) ? -EIO : 0;
}

int loopback_v6_present(const char *iface, bool *ret, struct error *err)
{
	unsigned index;
	int r = find_index(iface, &index, err);

	if (r < 0)
		return r;
	r = find_address(iface, PASSTHROUGH, ret);
	return r < 0 ? error_sys(err, r, "list the IPv6 addresses of %s", iface) : 0;
}

int loopback_v6_missing(const char *iface, bool *ret, struct error *err)
{
	bool ours = false, any = false;
	int r = find_address(iface, PASSTHROUGH, &ours);

	if (r == 0)
		r = find_address(iface, LOOPBACK, &any);
	*ret = any && !ours;
	return r < 0 ? error_sys(err, r, "list the IPv6 addresses of %s", iface) : 0;
}

/* Where the answer is lost, looks whether it is as it was asked for. */
static int change_and_look(uint16_t type, uint16_t flags, const char *iface, unsigned index)
{
	bool found;
	int r = ask(type, flags, index);

	if (r != NETLINK_LOST)
		return r;
	r = find_address(iface, PASSTHROUGH, &found);
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
	r = change_and_look(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, iface, index);
	/* EACCES: IPv6 was switched off there, and needs none. */
	if (r < 0 && r != -EEXIST && r != -EACCES)
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
	r = change_and_look(RTM_DELADDR, 0, iface, index);
	if (r < 0 && r != -EADDRNOTAVAIL)
		return error_sys(err, r, "remove ::6/128 from %s", iface);
	return 0;
}
