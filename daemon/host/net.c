/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/parts.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/host/links.h"
#include "daemon/os/fd.h"

DEFINE_CLEANUP(struct ifaddrs *, freeifaddrs, NULL);

/* False for what is no IP address. */
static bool address_of(const struct sockaddr *sa, struct ip_addr *ret)
{
	const struct sockaddr_in *in = (const void *)sa;
	const struct sockaddr_in6 *in6 = (const void *)sa;

	*ret = (struct ip_addr){ 0 };
	if (sa && sa->sa_family == AF_INET) {
		memcpy(ret->bytes, &in->sin_addr, sizeof(in->sin_addr));
		return true;
	}
	if (sa && sa->sa_family == AF_INET6) {
		ret->family = FAMILY_V6;
		memcpy(ret->bytes, &in6->sin6_addr, sizeof(in6->sin6_addr));
		return true;
	}
	return false;
}

/* What is enslaved receives nothing for this host by itself. */
static bool is_unnumbered(const struct link *link, const struct ifaddrs *list, enum family family)
{
	struct ip_addr addr;

	if (!link->up || link->loopback || link->master)
		return false;
	for (; list; list = list->ifa_next)
		if (strcmp(list->ifa_name, link->name) == 0 && address_of(list->ifa_addr, &addr) &&
		    addr.family == family)
			return false;
	return true;
}

static void find_unnumbered(struct arena *arena, const struct link_list *links,
			    const struct ifaddrs *list, struct facts *facts)
{
	for (size_t i = 0; i < links->n; i++)
		for (enum family f = 0; f < FAMILY_COUNT; f++)
			if (!facts->family[f].unnumbered &&
			    is_unnumbered(&links->items[i], list, f))
				facts->family[f].unnumbered =
					arena_strdup(arena, links->items[i].name);
}

int host_addresses(struct arena *arena, struct facts *facts, struct error *err)
{
	/* ::1 and the ::6 that a redirect adds say nothing about IPv6 on this host. */
	static const struct ip_addr added = { .family = FAMILY_V6, .bytes = { [15] = 6 } };
	_cleanup_(freeifaddrsp) struct ifaddrs *list = NULL;
	struct link_list links = { .arena = arena };
	int r = host_links(&links, err);

	if (r < 0)
		return r;
	if (getifaddrs(&list) < 0)
		return error_sys(err, -errno, "list addresses");
	find_unnumbered(arena, &links, list, facts);
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct link *link = link_find(&links, i->ifa_name);
		struct ip_addr addr;

		if ((i->ifa_flags & IFF_LOOPBACK) && !facts->loopback)
			facts->loopback = arena_strdup(arena, i->ifa_name);
		if (!address_of(i->ifa_addr, &addr))
			continue;
		array_push(arena, &facts->addresses, addr);
		if (ip_equal(&addr, &added) || (link && link_is_inner(&links, link)))
			array_push(arena, &facts->inner_addresses, addr);
		if (addr.family != FAMILY_V6)
			continue;
		if (ip_is_loopback(&addr))
			facts->ipv6_loopback = true;
		else if (!ip_equal(&addr, &added))
			facts->ipv6 = true;
	}
	return 0;
}

/* The kernel's list as it is; NULL: it is hidden. */
static const char *reserved_ports(struct arena *arena)
{
	_fclose_ FILE *f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	const char *text = NULL;
	char *line = NULL;
	size_t size = 0;

	if (f && getline(&line, &size, f) >= 0) {
		line[strcspn(line, "\n")] = 0;
		text = arena_strdup(arena, line);
	}
	free(line);
	return text;
}

/* What the sandbox hides stays unknown. */
void host_ports(struct arena *arena, struct facts *facts)
{
	_fclose_ FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	uint16_t lo, hi;

	facts->reserved_ports = reserved_ports(arena);
	if (facts->reserved_ports && range && fscanf(range, "%hu %hu", &lo, &hi) == 2) {
		facts->ephemeral_lo = lo;
		facts->ephemeral_hi = hi;
	}
}

void host_capabilities(struct facts *facts)
{
	static const struct {
		cap_value_t value;
		const char *name;
	} needed[] = { { CAP_NET_ADMIN, "CAP_NET_ADMIN" }, { CAP_NET_RAW, "CAP_NET_RAW" } };
	cap_t caps = geteuid() == 0 ? cap_get_proc() : NULL; /* others only look */

	for (size_t i = 0; caps && i < ELEMENTS(needed); i++) {
		cap_flag_value_t has = CAP_SET;

		if (cap_get_flag(caps, needed[i].value, CAP_EFFECTIVE, &has) == 0 && has != CAP_SET)
			facts->missing_capability = needed[i].name;
	}
	if (caps)
		(void)cap_free(caps);
}

void host_url_addresses(struct arena *arena, const char *url, struct ip_list *ret)
{
	const char *host = strstr(url, "://");
	struct ip_addr addr = { 0 };
	char name[IP_TEXT_MAX];
	size_t len;

	if (!host)
		return;
	host += strlen("://");
	len = host[0] == '[' ? strcspn(++host, "]") : strcspn(host, ":/?#");
	if (len >= sizeof(name))
		return;
	memcpy(name, host, len);
	name[len] = 0;
	if (ip_parse(name, &addr)) {
		array_push(arena, ret, addr);
	} else if (strcasecmp(name, "localhost") == 0) {
		addr = (struct ip_addr){ .family = FAMILY_V4, .bytes = { 127, 0, 0, 1 } };
		array_push(arena, ret, addr);
		addr = (struct ip_addr){ .family = FAMILY_V6, .bytes = { [15] = 1 } };
		array_push(arena, ret, addr);
	}
}
