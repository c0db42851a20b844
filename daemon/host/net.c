/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/parts.h"

#include <errno.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "daemon/host/links.h"
#include "daemon/os/fd.h"

/* What is enslaved receives nothing for this host by itself. */
static bool is_unnumbered(const struct link_list *links, const struct link *link,
			  enum family family)
{
	if (!link->up || link->loopback || link->master)
		return false;
	for (size_t i = 0; i < links->addresses.n; i++)
		if (links->addresses.items[i].index == link->index &&
		    links->addresses.items[i].addr.family == family)
			return false;
	return true;
}

static void judge_link(const struct link_list *links, const struct link *link, struct facts *facts)
{
	if (link->loopback && !facts->loopback)
		facts->loopback = link->name;
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		if (!facts->family[f].unnumbered && is_unnumbered(links, link, f))
			facts->family[f].unnumbered = link->name;
}

int host_addresses(struct arena *arena, struct facts *facts, struct error *err)
{
	/* ::1 and the ::6 that a redirect adds say nothing about IPv6 on this host. */
	static const struct ip_addr added = { .family = FAMILY_V6, .bytes = { [15] = 6 } };
	struct link_list links = { .arena = arena };
	int r = host_links(&links, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < links.n; i++)
		judge_link(&links, &links.items[i], facts);
	for (size_t i = 0; i < links.addresses.n; i++) {
		const struct link *link = link_find(&links, links.addresses.items[i].index);
		const struct ip_addr addr = links.addresses.items[i].addr;

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
