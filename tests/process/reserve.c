/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/reserve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/fsuid.h>

#include "daemon/os/sock_diag.h"
#include "tests/process/namespace.h"

#define PROXY 5678
#define USER  65534

static struct plan plan = {
	.user = { .uid = PROXY, .gid = PROXY },
	.family = { [FAMILY_V4] = { .enabled = true, .dns = true },
		    [FAMILY_V6] = { .enabled = true, .dns = true } },
	.inbound = { .enabled = true, .port = 15006 },
	.outbound = { .enabled = true, .port = 15001 },
	.dns_port = 15053,
	.children.envoy_dns_port = 15054,
};

static struct reserve reserve;

/* How a socket is bound. */
struct how {
	const char *ip;
	uint16_t port;
	int type;
	int reuseport, v6only;
};

static socklen_t to(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		four->sin_family = AF_INET;
		four->sin_port = htons(port);
		return sizeof(*four);
	}
	cr_assert_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
	six->sin6_family = AF_INET6;
	six->sin6_port = htons(port);
	return sizeof(*six);
}

/* A socket of that user, listening where it can; or a negative errno. */
static int bound(uid_t uid, struct how how)
{
	struct sockaddr_storage addr;
	socklen_t len = to(how.ip, how.port, &addr);
	_close_ int fd = -EBADF;
	int on = 1;

	(void)setfsuid(uid);
	fd = socket(addr.ss_family, how.type | SOCK_CLOEXEC, 0);
	(void)setfsuid(0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &how.reuseport, sizeof(on)), 0);
	if (addr.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &how.v6only, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		return -errno;
	if (how.type == SOCK_STREAM && listen(fd, 100) < 0)
		return -errno;
	return take_fd(&fd);
}

/* What becomes of a client: 0, or a negative errno. What it has sent is in the server's queue then. */
static int speak(const char *ip, uint16_t port, int type)
{
	struct sockaddr_storage addr;
	socklen_t len = to(ip, port, &addr);
	_close_ int fd = socket(addr.ss_family, type | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&addr, len) < 0 || send(fd, "x", 1, MSG_NOSIGNAL) < 0)
		return -errno;
	return recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT) < 0 && errno != EAGAIN ? -errno : 0;
}

static void setup(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
}

static const char *taken(void)
{
	static struct strbuf missing;

	strbuf_done(&missing);
	reserve_take(&reserve, &plan, &missing);
	return strbuf_text(&missing);
}

static const struct how places[] = {
	{ "0.0.0.0", 15001, SOCK_STREAM, 0, 0 },   { "127.0.0.1", 15001, SOCK_STREAM, 0, 0 },
	{ "127.0.0.2", 15001, SOCK_STREAM, 0, 0 }, { "::", 15001, SOCK_STREAM, 0, 0 },
	{ "::", 15001, SOCK_STREAM, 0, 1 },        { "::1", 15001, SOCK_STREAM, 0, 0 },
	{ "0.0.0.0", 15006, SOCK_STREAM, 0, 0 },   { "127.0.0.1", 15006, SOCK_STREAM, 0, 0 },
	{ "::", 15006, SOCK_STREAM, 0, 1 },        { "::1", 15006, SOCK_STREAM, 0, 0 },
	{ "0.0.0.0", 15053, SOCK_DGRAM, 0, 0 },    { "127.0.0.1", 15053, SOCK_DGRAM, 0, 0 },
	{ "::", 15053, SOCK_DGRAM, 0, 0 },         { "::", 15053, SOCK_DGRAM, 0, 1 },
	{ "::1", 15053, SOCK_DGRAM, 0, 0 },        { "0.0.0.0", 15054, SOCK_DGRAM, 0, 0 },
	{ "127.0.0.1", 15054, SOCK_DGRAM, 0, 0 },
};

static void expect_everywhere(uid_t uid, int reuseport, int result)
{
	for (size_t i = 0; i < ELEMENTS(places); i++) {
		struct how how = places[i];
		int fd;

		how.reuseport = reuseport;
		fd = bound(uid, how);
		cr_expect_eq(fd < 0 ? fd : 0, result, "user %u, port %u at %s: %s", uid, how.port,
			     how.ip, strerror(fd < 0 ? -fd : 0));
		if (fd >= 0)
			(void)close(fd);
	}
}

Test(reserve, keeps_others_away_and_lets_the_proxy_in, .init = setup)
{
	expect_everywhere(USER, 0, 0);
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, 7);
	expect_everywhere(USER, 0, -EADDRINUSE);
	expect_everywhere(USER, 1, -EADDRINUSE);
	expect_everywhere(0, 1, -EADDRINUSE);
	expect_everywhere(PROXY, 1, 0);
	expect_everywhere(PROXY, 0, -EADDRINUSE);
	/* What is held is not taken again. */
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, 7);
	reserve_done(&reserve);
	expect_everywhere(USER, 0, 0);
}

Test(reserve, takes_nothing_itself, .init = setup)
{
	const struct ip_addr loopback = { .family = FAMILY_V4, .bytes = { 127, 0, 0, 1 } };
	uid_t uid;

	cr_expect_str_eq(taken(), "");
	for (size_t i = 0; i < ELEMENTS(places); i++) {
		const char *ip = places[i].ip;

		if (strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0)
			cr_expect_eq(speak(ip, places[i].port, places[i].type), -ECONNREFUSED);
	}
	/* Nor does it count as a listener of the proxy's. */
	cr_expect_eq(sock_tcp_listener(&loopback, 15001, &uid, NULL), 0);
}

/* Everything that is sent reaches the proxy: of many clients none meets the reservation. */
static void expect_all_reach(struct how how)
{
	int fd = bound(PROXY, how), got = 0;
	char c;

	cr_assert_geq(fd, 0);
	reserve_done(&reserve);
	cr_expect_str_eq(taken(), "");
	for (int i = 0; i < 50; i++)
		cr_expect_eq(speak(strchr(how.ip, ':') ? "::1" : "127.0.0.1", how.port, how.type),
			     0);
	while (got < 50 && how.type == SOCK_DGRAM && recv(fd, &c, 1, MSG_DONTWAIT) == 1)
		got++;
	while (got < 50 && how.type == SOCK_STREAM) {
		_close_ int peer = accept(fd, NULL, NULL);

		cr_assert_geq(peer, 0);
		got++;
	}
	cr_expect_eq(got, 50);
	(void)close(fd);
}

Test(reserve, comes_beside_a_proxy_that_serves, .init = setup)
{
	expect_all_reach((struct how){ "0.0.0.0", 15001, SOCK_STREAM, 1, 0 });
	expect_all_reach((struct how){ "::", 15001, SOCK_STREAM, 1, 1 });
	expect_all_reach((struct how){ "127.0.0.1", 15054, SOCK_DGRAM, 1, 0 });
	/* As coredns does. */
	expect_all_reach((struct how){ "::", 15053, SOCK_DGRAM, 1, 0 });
	expect_everywhere(USER, 1, -EADDRINUSE);
}

Test(reserve, names_what_cannot_be_had, .init = setup)
{
	/* As Go programs do by default. */
	cr_assert_geq(bound(PROXY, (struct how){ "127.0.0.1", 15053, SOCK_DGRAM, 0, 0 }), 0);
	cr_assert_geq(bound(USER, (struct how){ "127.0.0.2", 15001, SOCK_STREAM, 0, 0 }), 0);
	cr_expect_str_eq(taken(), "TCP port 15001 on IPv4 (Address already in use), "
				  "UDP port 15053 on IPv4 (Address already in use)");
	cr_expect_eq(reserve.n, 5);
}

Test(reserve, is_handed_on, .init = setup)
{
	struct reserve next = { 0 };
	int fds[RESERVE_MAX];
	size_t n;

	cr_expect_str_eq(taken(), "");
	n = reserve.n;
	for (size_t i = 0; i < n; i++)
		fds[i] = dup(reserve.items[i].fd);
	reserve_done(&reserve);
	cr_expect(reserve_adopt(&next, fds, n, &plan));
	expect_everywhere(USER, 1, -EADDRINUSE);
	reserve = next;
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, n);
}

/* It would keep the proxy itself away. */
Test(reserve, is_not_handed_on_where_it_does_not_fit, .init = setup)
{
	struct plan other = plan;
	struct reserve next = { 0 };
	int fd = -1;

	cr_expect_str_eq(taken(), "");
	fd = dup(reserve.items[0].fd);
	other.user.uid++;
	cr_expect_not(reserve_adopt(&next, &fd, 1, &other));
	cr_expect_eq(next.n, 0);
	cr_expect_eq(fcntl(fd, F_GETFD), -1);
	for (size_t i = 0; i < reserve.n; i++)
		if (reserve.items[i].type == SOCK_DGRAM)
			fd = dup(reserve.items[i].fd);
	other = plan;
	other.children.dns_mode = CORE_DNS_EMBEDDED;
	other.children.envoy_dns_port = 0;
	cr_expect_not(reserve_adopt(&next, &fd, 1, &other));
	cr_expect(reserve_adopt(&next, NULL, 0, &other));
}

Test(reserve, gives_back_what_another_plan_does_not_need, .init = setup)
{
	struct plan other = plan;
	size_t n;

	cr_expect_str_eq(taken(), "");
	n = reserve.n;
	cr_expect_not(reserve_keep(&reserve, &plan));
	cr_expect_eq(reserve.n, n);
	other.inbound.port++;
	plan.inbound.port = other.inbound.port;
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, n + 2);
	cr_expect(reserve_keep(&reserve, &other));
	cr_expect_eq(reserve.n, n);
	cr_expect_not(reserve_keep(&reserve, &other));
}

Test(reserve, holds_what_the_plan_redirects_alone, .init = setup)
{
	plan.family[FAMILY_V6] = (struct plan_family){ 0 };
	plan.inbound.enabled = false;
	plan.family[FAMILY_V4].dns = false;
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, 1);
	cr_expect_eq(reserve.items[0].port, 15001);
	reserve_done(&reserve);
	plan.family[FAMILY_V4].dns = true;
	plan.children.dns_mode = CORE_DNS_EMBEDDED;
	plan.children.envoy_dns_port = 0;
	cr_expect_str_eq(taken(), "");
	cr_expect_eq(reserve.n, 1);
}
