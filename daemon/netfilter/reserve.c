/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/reserve.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/os/as_user.h"
#include "daemon/os/fd.h"

#define NOBODYS_PORT 1

/* The address of a port on all addresses, or on the loopback one; returns its length. */
static socklen_t address(enum family family, bool loopback, uint16_t port,
			 struct sockaddr_storage *ret)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr =
					  htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = loopback ? in6addr_loopback : in6addr_any };

	if (family == FAMILY_V4)
		memcpy(ret, &v4, sizeof(v4));
	else
		memcpy(ret, &v6, sizeof(v6));
	return family == FAMILY_V4 ? sizeof(v4) : sizeof(v6);
}

/* The kernel takes a socket's owner from the fsuid that it is made with. */
static int socket_of(const struct facts_user *user, enum family family, int type)
{
	int fd = as_user(user->uid, user->gid, NULL);

	if (fd == 0)
		fd = socket(family_domain(family), type | SOCK_CLOEXEC, 0);
	else
		errno = EPERM;
	as_ourselves();
	return fd;
}

static int make(const struct facts_user *user, const struct reserved *wanted)
{
	_close_ int fd = socket_of(user, wanted->family, wanted->type);
	struct sockaddr_storage all, nobody;
	socklen_t len = address(wanted->family, false, wanted->port, &all);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
		return -errno;
	if (wanted->family == FAMILY_V6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&all, len) < 0)
		return -errno;
	(void)address(wanted->family, true, NOBODYS_PORT, &nobody);
	if (wanted->type == SOCK_DGRAM && connect(fd, (const struct sockaddr *)&nobody, len) < 0)
		return -errno;
	return take_fd(&fd);
}

static bool has(const struct reserved *items, size_t n, const struct reserved *wanted)
{
	for (size_t i = 0; i < n; i++)
		if (items[i].port == wanted->port && items[i].type == wanted->type &&
		    items[i].family == wanted->family)
			return true;
	return false;
}

static void want(struct reserve *reserve, int type, enum family family, uint16_t port)
{
	const struct reserved wanted = { -1, port, type, family };

	if (port != 0)
		reserve->items[reserve->n++] = wanted;
}

/* The DNS proxy within kuma-dp is a Go program's, without SO_REUSEPORT. */
static void wanted_ports(const struct plan *plan, struct reserve *ret)
{
	bool embedded = plan->children.dns_mode == CORE_DNS_EMBEDDED;

	*ret = (struct reserve){ 0 };
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		const struct plan_family *family = &plan->family[f];

		if (!family->enabled)
			continue;
		want(ret, SOCK_STREAM, f, plan->inbound.enabled ? plan->inbound.port : 0);
		want(ret, SOCK_STREAM, f, plan->outbound.enabled ? plan->outbound.port : 0);
		want(ret, SOCK_DGRAM, f, family->dns && !embedded ? plan->dns_port : 0);
	}
	/* No rule sends anything there, but coredns asks Envoy, and always over IPv4. */
	if (plan_redirects_dns(plan))
		want(ret, SOCK_DGRAM, FAMILY_V4, plan->children.envoy_dns_port);
}

void reserve_take(struct reserve *reserve, const struct plan *plan, struct strbuf *missing)
{
	struct reserve wanted;

	wanted_ports(plan, &wanted);
	for (size_t i = 0; i < wanted.n; i++) {
		struct reserved *item = &wanted.items[i];

		if (has(reserve->items, reserve->n, item))
			continue;
		item->fd = reserve->n < RESERVE_MAX ? make(&plan->user, item) : -ENOBUFS;
		if (item->fd >= 0)
			reserve->items[reserve->n++] = *item;
		else
			strbuf_addf(missing, "%s%s port %u on %s (%s)", missing->len ? ", " : "",
				    item->type == SOCK_STREAM ? "TCP" : "UDP", item->port,
				    family_name(item->family), strerror(-item->fd));
	}
}

/* What a socket of ours reserves; port 0 where it is none of the user's. */
static struct reserved describe(int fd, uid_t uid)
{
	struct reserved item = { .fd = fd };
	struct sockaddr_in6 addr = { 0 };
	socklen_t len = sizeof(addr), type_len = sizeof(item.type);
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_uid == uid &&
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &item.type, &type_len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
		item.port = ntohs(addr.sin6_port); /* where sin_port is, too */
	item.family = addr.sin6_family == AF_INET6 ? FAMILY_V6 : FAMILY_V4;
	return item;
}

bool reserve_adopt(struct reserve *reserve, const int *fds, size_t n, const struct plan *plan)
{
	struct reserve wanted;
	bool fits = true;

	wanted_ports(plan, &wanted);
	for (size_t i = 0; i < n; i++) {
		struct reserved *item = &reserve->items[reserve->n++];

		*item = describe(fds[i], plan->user.uid);
		fits = fits && has(wanted.items, wanted.n, item);
	}
	if (!fits)
		reserve_done(reserve);
	return fits;
}

void reserve_inherit(struct reserve *reserve, const int *fds, size_t n, uid_t uid)
{
	for (size_t i = 0; i < n && reserve->n < RESERVE_MAX; i++)
		reserve->items[reserve->n++] = describe(fds[i], uid);
}

bool reserve_keep(struct reserve *reserve, const struct plan *plan)
{
	size_t before = reserve->n, kept = 0;
	struct reserve wanted;

	wanted_ports(plan, &wanted);
	for (size_t i = 0; i < before; i++) {
		if (has(wanted.items, wanted.n, &reserve->items[i]))
			reserve->items[kept++] = reserve->items[i];
		else
			(void)close(reserve->items[i].fd);
	}
	reserve->n = kept;
	return kept < before;
}

void reserve_done(struct reserve *reserve)
{
	while (reserve->n > 0)
		(void)close(reserve->items[--reserve->n].fd);
}
