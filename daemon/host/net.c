/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/net.h"

#include <errno.h>
#include <ifaddrs.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "common/base/cleanup.h"
#include "daemon/os/fd.h"

DEFINE_CLEANUP(struct ifaddrs *, freeifaddrs, NULL);
DEFINE_CLEANUP(struct xtc_handle *, iptc_free, NULL);
DEFINE_CLEANUP(struct xtc_handle *, ip6tc_free, NULL);

/* False for what is no IP address. */
static bool address_of(const struct sockaddr *sa, struct ip_addr *ret)
{
	*ret = (struct ip_addr){ 0 };
	if (sa && sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		ret->family = FAMILY_V4;
		memcpy(ret->bytes, &in.sin_addr, sizeof(in.sin_addr));
		return true;
	}
	if (sa && sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		ret->family = FAMILY_V6;
		memcpy(ret->bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
		return true;
	}
	return false;
}

/* ::1 and the ::6 that a redirect adds say nothing about IPv6 on this host. */
static bool is_tiny_v6(const struct ip_addr *addr, uint8_t last)
{
	struct ip_addr tiny = { .family = FAMILY_V6 };

	tiny.bytes[15] = last;
	return ip_equal(addr, &tiny);
}

int host_addresses(struct arena *arena, struct facts *facts, struct error *err)
{
	_cleanup_(freeifaddrsp) struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return error_sys(err, -errno, "list addresses");
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct ip_addr addr;

		if ((i->ifa_flags & IFF_LOOPBACK) && !facts->loopback)
			facts->loopback = arena_strdup(arena, i->ifa_name);
		if (!address_of(i->ifa_addr, &addr))
			continue;
		array_push(arena, &facts->addresses, addr);
		if (addr.family != FAMILY_V6)
			continue;
		if (is_tiny_v6(&addr, 1))
			facts->ipv6_loopback = true;
		else if (!is_tiny_v6(&addr, 6))
			facts->ipv6 = true;
	}
	return 0;
}

/* Whether the kernel has ip_tables (or ip6_tables) now. The request is one byte long: the kernel
 * refuses the length (EINVAL, or EPERM for the unprivileged) before it looks for a table, and so
 * creates none; without the module nobody answers (ENOPROTOOPT). */
static int legacy_loaded(enum family family, bool *ret, struct error *err)
{
	bool v4 = family == FAMILY_V4;
	_close_ int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = 1;
	char byte;
	int r;

	*ret = false;
	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : error_sys(err, -errno, "look for legacy tables");
	r = v4 ? getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &byte, &len)
	       : getsockopt(fd, IPPROTO_IPV6, IP6T_SO_GET_INFO, &byte, &len);
	*ret = r == 0 || errno == EINVAL || errno == EPERM;
	if (*ret || errno == ENOPROTOOPT || errno == EOPNOTSUPP)
		return 0;
	/* Any other answer says nothing: a family must not go without its redirect for it. */
	return error_sys(err, -errno, "look for legacy tables");
}

/* Whether modprobe@.service, which the unit wants, would find the module. In the unit's own sandbox
 * the directory is hidden: there only what is loaded counts. */
static bool legacy_loadable(enum family family)
{
	const char *module = family == FAMILY_V4 ? "/ip_tables.ko" : "/ip6_tables.ko";
	struct utsname name;
	char path[256];
	char line[8192];

	if (uname(&name) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", name.release);
	_fclose_ FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		/* "kernel/net/ipv4/netfilter/ip_tables.ko.xz: kernel/…" */
		line[strcspn(line, ":")] = 0;
		if (strstr(line, module))
			return true;
	}
	return false;
}

/* Whether the nat table exists in this network namespace. Others than root may not know. */
static int nat_exists(enum family family, bool *ret, struct error *err)
{
	const char *path = family == FAMILY_V4 ? "/proc/self/net/ip_tables_names"
					       : "/proc/self/net/ip6_tables_names";
	_fclose_ FILE *f = fopen(path, "re");
	char line[64];

	*ret = false;
	if (!f)
		return errno == ENOENT || errno == EACCES ? 0
							  : error_sys(err, -errno, "open %s", path);
	while (fgets(line, sizeof(line), f))
		if (strcmp(line, "nat\n") == 0)
			*ret = true;
	return ferror(f) ? error_sys(err, -EIO, "read %s", path) : 0;
}

static bool is_docker_output(const char *chain)
{
	return strncmp(chain, "DOCKER_OUTPUT", strlen("DOCKER_OUTPUT")) == 0;
}

static int no_handle(struct error *err)
{
	/* Without the right to look there is also none to change anything. */
	if (errno == EPERM)
		return 0;
	return error_sys(err, errno > 0 ? -errno : -EPROTO, "read the nat table");
}

/* Only for a table that exists: iptc_init() would make it. */
static int docker_output_v4(bool *ret, struct error *err)
{
	_cleanup_(iptc_freep) struct xtc_handle *handle = iptc_init("nat");

	if (!handle)
		return no_handle(err);
	for (const char *chain = iptc_first_chain(handle); chain; chain = iptc_next_chain(handle))
		*ret = *ret || is_docker_output(chain);
	return 0;
}

static int docker_output_v6(bool *ret, struct error *err)
{
	_cleanup_(ip6tc_freep) struct xtc_handle *handle = ip6tc_init("nat");

	if (!handle)
		return no_handle(err);
	for (const char *chain = ip6tc_first_chain(handle); chain; chain = ip6tc_next_chain(handle))
		*ret = *ret || is_docker_output(chain);
	return 0;
}

int host_tables(enum check_purpose purpose, struct facts *facts, struct error *err)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct facts_family *f = &facts->family[family];
		bool nat;
		int r = legacy_loaded(family, &f->legacy, err);

		if (r == 0)
			r = nat_exists(family, &nat, err);
		if (r == 0 && nat)
			r = family == FAMILY_V4 ? docker_output_v4(&f->docker_output, err)
						: docker_output_v6(&f->docker_output, err);
		if (r < 0)
			return r;
		if (purpose == CHECK_RUN && !f->legacy)
			f->legacy = legacy_loadable(family);
		/* Whether a table's own module is there shows only when it is made; a dry run does
		 * not even need ip_tables. */
		f->raw = f->mangle = true;
	}
	return 0;
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
