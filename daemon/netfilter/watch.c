/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/watch.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "daemon/os/fd.h"
#include "daemon/os/netlink.h"

struct netfilter_watch {
	struct netfilter_watch_setup setup;
	sd_event_source *lock, *tables, *addresses;
	struct stat lock_file; /* that is watched */
	unsigned loopback;     /* the interface's number */
};

static void tell(const struct netfilter_watch *watch, enum netfilter_news news, const char *whom)
{
	watch->setup.happened(news, whom, watch->setup.userdata);
}

static int on_lock(_unused_ sd_event_source *source, _unused_ const struct inotify_event *event,
		   void *userdata)
{
	tell(userdata, NEWS_LEGACY, NULL);
	return 0;
}

static int watch_lock(struct netfilter_watch *watch)
{
	int r;

	watch->lock = sd_event_source_disable_unref(watch->lock);
	if (!watch->setup.lock_file)
		return 0;
	if (stat(watch->setup.lock_file, &watch->lock_file) < 0)
		return -errno;
	/* IN_CLOSE: the lock is a descriptor's, and ends with it. */
	r = sd_event_add_inotify(watch->setup.event, &watch->lock, watch->setup.lock_file, IN_CLOSE,
				 on_lock, watch);
	if (r < 0)
		watch->lock = NULL;
	return r;
}

void netfilter_watch_renew(struct netfilter_watch *watch)
{
	struct stat now;

	if (!watch->setup.lock_file || stat(watch->setup.lock_file, &now) < 0)
		return;
	if (watch->lock && now.st_ino == watch->lock_file.st_ino &&
	    now.st_dev == watch->lock_file.st_dev)
		return;
	if (watch_lock(watch) >= 0)
		tell(watch, NEWS_LEGACY, NULL);
}

/* Of a datagram that the filter let pass. Returns false where it is our own doing: sent by the socket with
 * that port, or by this process, whose number is another one outside of a process namespace. */
static bool read_writer(const char *buf, size_t len, uint32_t port, char *ret, size_t size)
{
	const struct nlmsghdr *message = (const void *)buf;
	uint32_t pid = 0;
	const char *name = "";
	const struct nlattr *a;

	if (!mnl_nlmsg_ok(message, (int)len))
		return true;
	netlink_for_each(a, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_GEN_PROC_PID)
			pid = ntohl(mnl_attr_get_u32(a));
		else if (mnl_attr_get_type(a) == NFTA_GEN_PROC_NAME &&
			 mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			name = mnl_attr_get_str(a);
	}
	if ((port && message->nlmsg_pid == port) || pid == (uint32_t)getpid())
		return false;
	if (!name[0])
		return true;
	(void)snprintf(ret, size, "%s (process %u)", name, pid);
	for (char *c = ret; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	return true;
}

static int on_tables(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
		     void *userdata)
{
	const struct netfilter_watch *watch = userdata;
	uint32_t port = watch->setup.channel ? netlink_port(watch->setup.channel->fd) : 0;
	_Alignas(struct nlmsghdr) char buf[1024];
	char whom[64] = "";
	bool news = false;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		news |= read_writer(buf, (size_t)n, port, whom, sizeof(whom));
	/* Messages were lost; what is left wakes us again. */
	if (news || errno == ENOBUFS)
		tell(watch, NEWS_TABLES, whom[0] ? whom : NULL);
	return 0;
}

static int on_addresses(_unused_ sd_event_source *source, int fd, _unused_ uint32_t events,
			void *userdata)
{
	const struct netfilter_watch *watch = userdata;
	_Alignas(struct nlmsghdr) char buf[1024];
	bool loopback = false, came = false;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *message = (const void *)buf;
		const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);

		if (n < (ssize_t)(NLMSG_HDRLEN + sizeof(*address)) ||
		    address->ifa_index == watch->loopback)
			loopback = true;
		else
			came |= message->nlmsg_type == RTM_NEWADDR &&
				address->ifa_scope == RT_SCOPE_UNIVERSE;
	}
	/* Messages that were lost may have been about it. */
	if (loopback || errno != EAGAIN)
		tell(watch, NEWS_ADDRESS, NULL);
	if (came)
		tell(watch, NEWS_IPV6, NULL);
	return 0;
}

/* Listens to a group of netlink(7). */
struct listening {
	int protocol;
	unsigned group;
	struct sock_fprog filter; /* of its messages; empty: all wake us */
	sd_event_io_handler_t on_message;
};

static int listen_to(struct netfilter_watch *watch, const struct listening *to,
		     sd_event_source **ret)
{
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK,
					     .nl_groups = 1U << (to->group - 1) };
	_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
	int r;

	if (fd < 0)
		return -errno;
	if (to->filter.len &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &to->filter, sizeof(to->filter)) < 0)
		return -errno;
	if (bind(fd, (const void *)&address, sizeof(address)) < 0)
		return -errno;
	r = sd_event_add_io(watch->setup.event, ret, fd, EPOLLIN, to->on_message, watch);
	if (r >= 0)
		r = sd_event_source_set_io_fd_own(*ret, 1);
	if (r >= 0)
		(void)take_fd(&fd);
	return r;
}

static int watch_tables(struct netfilter_watch *watch)
{
	/* Only what ends a transaction: thousands of messages may come before it. */
	struct sock_filter newgen[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			 htons((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct listening to = {
		.protocol = NETLINK_NETFILTER,
		.group = NFNLGRP_NFTABLES,
		.filter = { ELEMENTS(newgen), newgen },
		.on_message = on_tables,
	};
	int r = listen_to(watch, &to, &watch->tables);

	/* A kernel without it has none to watch. */
	return r == -EPROTONOSUPPORT ? 0 : r;
}

static int watch_addresses(struct netfilter_watch *watch)
{
	const struct listening to = {
		.protocol = NETLINK_ROUTE,
		.group = RTNLGRP_IPV6_IFADDR,
		.on_message = on_addresses,
	};

	watch->loopback = if_nametoindex(watch->setup.iface);
	return listen_to(watch, &to, &watch->addresses);
}

int netfilter_watch_new(const struct netfilter_watch_setup *setup, struct netfilter_watch **ret,
			struct error *err)
{
	struct netfilter_watch *watch = calloc(1, sizeof(*watch));
	int lock, tables, addresses;

	if (!watch)
		return error_sys(err, -ENOMEM, "watch the rules");
	watch->setup = *setup;
	*ret = watch;
	lock = watch_lock(watch);
	tables = watch_tables(watch);
	addresses = watch_addresses(watch);
	if (lock < 0)
		return error_sys(err, lock, "watch %s", setup->lock_file);
	if (tables < 0)
		return error_sys(err, tables, "watch nf_tables");
	return addresses < 0 ? error_sys(err, addresses, "watch the addresses of %s", setup->iface)
			     : 0;
}

void netfilter_watch_free(struct netfilter_watch *watch)
{
	if (!watch)
		return;
	sd_event_source_disable_unref(watch->lock);
	sd_event_source_disable_unref(watch->tables);
	sd_event_source_disable_unref(watch->addresses);
	free(watch);
}
