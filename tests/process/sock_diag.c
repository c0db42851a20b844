/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/sock_diag.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "tests/present.h"
#include "tests/process/namespace.h"

#define SOME_ID 54321

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr = { 0 };

	if (!strcmp(text, "::"))
		return (struct ip_addr){ .family = FAMILY_V6 };
	cr_assert(ip_parse(text, &addr));
	return addr;
}

static socklen_t socket_address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *four = (struct sockaddr_in *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		cr_assert_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	cr_assert_eq(inet_pton(AF_INET, text, &four->sin_addr), 1);
	return sizeof(*four);
}

static int bind_at(int type, const char *text, uint16_t port, int v6only)
{
	struct sockaddr_storage addr;
	socklen_t len = socket_address(text, port, &addr);
	int fd = socket(addr.ss_family, type | SOCK_CLOEXEC, 0);

	if (addr.ss_family == AF_INET6)
		cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0, "bind: %s", strerror(errno));
	return fd;
}

static int listen_on(const char *text, uint16_t port, int v6only)
{
	int fd = bind_at(SOCK_STREAM, text, port, v6only);

	cr_assert_eq(listen(fd, 5), 0);
	return fd;
}

static int connect_to(const char *text, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = socket_address(text, port, &addr);
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, len), 0, "%s", strerror(errno));
	return fd;
}

static bool listens(const char *text, uint16_t port)
{
	struct ip_addr addr = ip(text);
	struct error err = { 0 };
	uid_t uid = 12345;
	int r = sock_tcp_listener(&addr, port, &uid, &err);

	cr_assert_geq(r, 0, "%s", err.text);
	cr_expect_eq(uid, r ? getuid() : 12345);
	return r;
}

static bool no_ipv6(void)
{
	_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0;
}

Test(diag_sock, finds_the_listener_that_a_connection_would_reach)
{
	cr_expect_not(listens("127.0.0.1", 15001));
	(void)listen_on("127.0.0.1", 15001, 0);
	cr_expect(listens("127.0.0.1", 15001));
	cr_expect_not(listens("127.0.0.2", 15001));
	cr_expect_not(listens("0.0.0.0", 15001), "a listener on one address is not for all");
	cr_expect_not(listens("127.0.0.1", 15002));

	(void)listen_on("0.0.0.0", 15006, 0);
	cr_expect(listens("127.0.0.1", 15006));
	cr_expect(listens("127.0.0.2", 15006));
	cr_expect(listens("0.0.0.0", 15006));
	cr_expect_not(listens("::1", 15006));
}

Test(diag_sock, knows_that_one_socket_can_serve_both_families)
{
	if (no_ipv6())
		cr_skip_test("needs IPv6");
	(void)listen_on("::", 15001, 0);
	cr_expect(listens("::1", 15001));
	cr_expect(listens("::", 15001));
	cr_expect(listens("127.0.0.1", 15001));
	cr_expect(listens("0.0.0.0", 15001));
	(void)listen_on("::", 15006, 1);
	cr_expect(listens("::1", 15006));
	cr_expect_not(listens("127.0.0.1", 15006));
}

Test(diag_sock, does_not_take_a_connection_for_a_listener)
{
	int listener = listen_on("127.0.0.1", 15001, 0);
	int connection = connect_to("127.0.0.1", 15001);

	cr_expect_geq(accept(listener, NULL, NULL), 0);
	(void)close(listener);
	cr_expect_not(listens("127.0.0.1", 15001));
	(void)close(connection);
}

/* How many UDP sockets take what is sent there. */
static unsigned takers(const char *text, uint16_t port, bool connected)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct socket_list list = { 0 };
	struct ip_addr addr = ip(text);
	struct error err = { 0 };
	unsigned n = 0;

	cr_assert_eq(sock_udp(&arena, port, &list, &err), 0, "%s", err.text);
	for (size_t i = 0; i < list.n; i++) {
		cr_expect_eq(list.items[i].port, port);
		cr_expect_eq(list.items[i].uid, getuid());
		n += list.items[i].connected == connected &&
		     facts_socket_takes(&list.items[i], &addr);
	}
	return n;
}

Test(diag_sock, finds_the_udp_sockets_that_take_what_is_sent_to_an_address)
{
	int peer;

	cr_expect_eq(takers("127.0.0.1", 15053, false), 0);
	peer = bind_at(SOCK_DGRAM, "127.0.0.1", 15053, 0);
	cr_expect_eq(takers("127.0.0.1", 15053, false), 1);
	cr_expect_eq(takers("127.0.0.2", 15053, false), 0);
	cr_expect_eq(takers("127.0.0.1", 15054, false), 0);
	(void)bind_at(SOCK_DGRAM, "0.0.0.0", 15054, 0);
	cr_expect_eq(takers("127.0.0.2", 15054, false), 1);

	struct sockaddr_storage addr;
	socklen_t len = socket_address("127.0.0.1", 15054, &addr);
	cr_assert_eq(connect(peer, (struct sockaddr *)&addr, len), 0);
	cr_expect_eq(takers("127.0.0.1", 15053, false), 0);
	cr_expect_eq(takers("127.0.0.1", 15053, true), 1);
}

Test(diag_sock, knows_that_one_udp_socket_can_serve_both_families)
{
	if (no_ipv6())
		cr_skip_test("needs IPv6");
	(void)bind_at(SOCK_DGRAM, "::", 15053, 0);
	cr_expect_eq(takers("::1", 15053, false), 1);
	cr_expect_eq(takers("127.0.0.1", 15053, false), 1);
	(void)bind_at(SOCK_DGRAM, "::", 15054, 1);
	cr_expect_eq(takers("::1", 15054, false), 1);
	cr_expect_eq(takers("127.0.0.1", 15054, false), 0);
}

Test(diag_sock, tells_whose_listener_it_is)
{
	struct ip_addr addr = ip("127.0.0.1");
	struct error err = { 0 };
	uid_t uid = 0;

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(setresuid(SOME_ID, SOME_ID, 0), 0);
	(void)listen_on("0.0.0.0", 15001, 0);
	cr_assert_eq(setresuid(0, 0, 0), 0);
	cr_assert_eq(sock_tcp_listener(&addr, 15001, &uid, &err), 1, "%s", err.text);
	cr_expect_eq(uid, SOME_ID);
}

static struct tcp_socket_list list(struct arena *arena)
{
	struct tcp_socket_list sockets;
	struct error err = { 0 };

	cr_assert_eq(sock_tcp_list(arena, &sockets, &err), 0, "%s", err.text);
	return sockets;
}

static const struct tcp_socket *find(struct tcp_socket_list list, const char *text, uint16_t port,
				     bool listens)
{
	struct ip_addr addr = ip(text);

	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].at.port == port && list.items[i].listens == listens &&
		    ip_equal(&list.items[i].at.addr, &addr))
			return &list.items[i];
	return NULL;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

Test(diag_sock, lists_listeners_and_connections_of_the_namespace)
{
	struct arena arena = { 0 };
	struct tcp_socket_list sockets = list(&arena);
	int listener = listen_on("127.0.0.1", 8080, 0), accepted;

	cr_expect_eq(sockets.n, 0);
	(void)listen_on("0.0.0.0", 8081, 0);
	(void)connect_to("127.0.0.1", 8080);
	accepted = accept(listener, NULL, NULL);
	sockets = list(&arena);
	cr_expect_eq(present(find(sockets, "127.0.0.1", 8080, true))->inode, inode_of(listener));
	cr_expect_eq(present(find(sockets, "0.0.0.0", 8081, true))->at.uid, getuid());
	if (getuid() == 0)
		cr_expect_eq(present(find(sockets, "127.0.0.1", 8080, false))->inode,
			     inode_of(accepted));
	arena_done(&arena);
}

Test(diag_sock, lists_connections_of_root_alone)
{
	struct arena arena = { 0 };
	int listener;

	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(setresuid(SOME_ID, SOME_ID, 0), 0);
	listener = listen_on("127.0.0.1", 8080, 0);
	(void)connect_to("127.0.0.1", 8080);
	cr_assert_geq(accept(listener, NULL, NULL), 0);
	cr_assert_eq(setresuid(0, 0, 0), 0);
	cr_expect_eq(present(find(list(&arena), "127.0.0.1", 8080, true))->at.uid, SOME_ID);
	cr_expect_null(find(list(&arena), "127.0.0.1", 8080, false));
	arena_done(&arena);
}

Test(diag_sock, lists_more_listeners_than_one_datagram_holds)
{
	struct arena arena = { 0 };
	struct tcp_socket_list sockets;

	for (uint16_t port = 20000; port < 20600; port++)
		(void)listen_on("127.0.0.1", port, 0);
	sockets = list(&arena);
	cr_expect_geq(sockets.n, 600);
	for (uint16_t port = 20000; port < 20600; port++)
		cr_expect_not_null(find(sockets, "127.0.0.1", port, true), "port %u", port);
	arena_done(&arena);
}

static size_t connections(uint16_t first, uint16_t second, uid_t uid)
{
	const uint16_t ports[] = { first, second };
	struct error err = { 0 };
	size_t n = 0;

	cr_assert_eq(sock_tcp_connections(ports, 2, uid, &n, &err), 0, "%s", err.text);
	return n;
}

Test(diag_sock, counts_the_connections_of_a_user_by_local_port)
{
	int outbound = listen_on("0.0.0.0", 15001, 0), inbound = listen_on("0.0.0.0", 15006, 0);
	int a = connect_to("127.0.0.1", 15001), b = connect_to("127.0.0.1", 15006);
	int accepted_a = accept(outbound, NULL, NULL), accepted_b = accept(inbound, NULL, NULL);

	cr_expect_eq(connections(15001, 15006, getuid()), 2);
	cr_expect_eq(connections(15001, 0, getuid()), 1);
	cr_expect_eq(connections(15001, 15006, SOME_ID), 0);
	cr_expect_eq(connections(15002, 80, getuid()), 0);

	/* Half closed, by either side, data can still move. */
	(void)shutdown(a, SHUT_WR);
	(void)shutdown(accepted_b, SHUT_WR);
	cr_expect_eq(connections(15001, 15006, getuid()), 2);
	(void)close(accepted_a);
	(void)close(accepted_b);
	(void)close(b);
	cr_expect_eq(connections(15001, 15006, getuid()), 0);
	(void)close(a);
}

Test(diag_sock, counts_a_connection_that_waits_to_be_accepted)
{
	(void)listen_on("0.0.0.0", 15001, 0);
	(void)connect_to("127.0.0.1", 15001);
	cr_expect_eq(connections(15001, 15006, getuid()), 1);
}

Test(diag_sock, counts_ipv6_connections_and_mapped_ones)
{
	if (no_ipv6())
		cr_skip_test("needs IPv6");
	(void)listen_on("::", 15001, 0);
	(void)connect_to("::1", 15001);
	(void)connect_to("127.0.0.1", 15001);
	cr_expect_eq(connections(15001, 15006, getuid()), 2);
}
