/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/os/sock_diag.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/os/sshd.h"
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

static int listen_on(const char *text, uint16_t port, int v6only)
{
	struct sockaddr_storage addr;
	socklen_t len = socket_address(text, port, &addr);
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (addr.ss_family == AF_INET6)
		cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0, "bind: %s", strerror(errno));
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

static int bind_udp(const char *text, uint16_t port, int v6only)
{
	struct sockaddr_storage addr;
	socklen_t len = socket_address(text, port, &addr);
	int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (addr.ss_family == AF_INET6)
		cr_assert_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0, "bind: %s", strerror(errno));
	return fd;
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
	peer = bind_udp("127.0.0.1", 15053, 0);
	cr_expect_eq(takers("127.0.0.1", 15053, false), 1);
	cr_expect_eq(takers("127.0.0.2", 15053, false), 0);
	cr_expect_eq(takers("127.0.0.1", 15054, false), 0);
	(void)bind_udp("0.0.0.0", 15054, 0);
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
	(void)bind_udp("::", 15053, 0);
	cr_expect_eq(takers("::1", 15053, false), 1);
	cr_expect_eq(takers("127.0.0.1", 15053, false), 1);
	(void)bind_udp("::", 15054, 1);
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

static const struct facts_socket *find(struct socket_list list, const char *text, uint16_t port)
{
	struct ip_addr addr = ip(text);

	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].port == port && ip_equal(&list.items[i].addr, &addr))
			return &list.items[i];
	return NULL;
}

Test(diag_sock, lists_all_listeners_of_the_namespace)
{
	struct arena arena = { 0 };
	struct socket_list sockets;
	struct error err = { 0 };
	size_t before;

	cr_assert_eq(sock_tcp_listeners(&arena, &sockets, &err), 0, "%s", err.text);
	before = sockets.n;
	(void)listen_on("127.0.0.1", 8080, 0);
	(void)listen_on("0.0.0.0", 8081, 0);
	(void)connect_to("127.0.0.1", 8080);
	cr_assert_eq(sock_tcp_listeners(&arena, &sockets, &err), 0, "%s", err.text);
	cr_expect_eq(sockets.n, before + 2);
	cr_expect_not_null(find(sockets, "127.0.0.1", 8080));
	cr_expect_eq(present(find(sockets, "0.0.0.0", 8081))->uid, getuid());
	cr_expect_not(present(find(sockets, "0.0.0.0", 8081))->sshd);
	arena_done(&arena);
}

Test(diag_sock, lists_more_listeners_than_one_datagram_holds)
{
	struct arena arena = { 0 };
	struct socket_list sockets;
	struct error err = { 0 };

	for (uint16_t port = 20000; port < 20600; port++)
		(void)listen_on("127.0.0.1", port, 0);
	cr_assert_eq(sock_tcp_listeners(&arena, &sockets, &err), 0, "%s", err.text);
	cr_expect_geq(sockets.n, 600);
	for (uint16_t port = 20000; port < 20600; port++)
		cr_expect_not_null(find(sockets, "127.0.0.1", port), "port %u", port);
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

Test(diag_sock, tells_on_which_ports_ssh_sessions_are_open)
{
	struct facts_socket sockets[] = {
		{ .port = 22, .sshd = true },
		{ .port = 2222, .sshd = true },
		{ .port = 2222, .sshd = true },
		{ .port = 8080, .sshd = false },
	};
	const struct socket_list listeners = { sockets, ELEMENTS(sockets) };
	struct port_list ports = { .n = 99 };
	struct arena arena = { 0 };
	struct error err = { 0 };

	(void)listen_on("127.0.0.1", 2222, 0);
	(void)listen_on("127.0.0.1", 8080, 0);
	cr_assert_eq(sock_ssh_sessions(&arena, &listeners, &ports, &err), 0, "%s", err.text);
	cr_expect_eq(ports.n, 0, "a listener is no session");
	(void)connect_to("127.0.0.1", 2222);
	(void)connect_to("127.0.0.1", 8080);
	cr_assert_eq(sock_ssh_sessions(&arena, &listeners, &ports, &err), 0, "%s", err.text);
	cr_assert_eq(ports.n, 1);
	cr_expect_eq(ports.items[0], 2222);
	arena_done(&arena);
}

Test(diag_sock, knows_the_units_of_sshd_by_name)
{
	static const char *const sshds[] = {
		"ssh.service", "ssh.socket",    "sshd.service",
		"sshd.socket", "ssh@1.service", "sshd@7-10.0.0.1:22-10.0.0.2:50000.service"
	};
	static const char *const others[] = { "ssh",
					      "sshguard.service",
					      "ssh-agent.service",
					      "sshd.slice",
					      "system-ssh.slice",
					      "sshd@x.socket",
					      "tproxyd.service",
					      "xssh.service" };

	for (size_t i = 0; i < ELEMENTS(sshds); i++)
		cr_expect(sshd_unit(sshds[i]), "%s", sshds[i]);
	for (size_t i = 0; i < ELEMENTS(others); i++)
		cr_expect_not(sshd_unit(others[i]), "%s", others[i]);
}

/* Forks a process that listens on a port, after something else; returns when it does. */
static pid_t listening_child(uint16_t port, void (*first)(void))
{
	int fds[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		first();
		(void)listen_on("127.0.0.1", port, 0);
		(void)!write(fds[1], "", 1);
		(void)alarm(30);
		(void)pause();
		_exit(0);
	}
	cr_assert_eq(read(fds[0], &c, 1), 1);
	return pid;
}

static void expect_sshd(uint16_t port)
{
	struct socket_list sockets;
	struct arena arena = { 0 };
	struct error err = { 0 };

	(void)listen_on("127.0.0.1", 8080, 0);
	cr_assert_eq(sock_tcp_listeners(&arena, &sockets, &err), 0, "%s", err.text);
	cr_expect(present(find(sockets, "127.0.0.1", port))->sshd);
	cr_expect_not(present(find(sockets, "127.0.0.1", 8080))->sshd);
	arena_done(&arena);
}

static void be_called_sshd(void)
{
	(void)prctl(PR_SET_NAME, "sshd");
}

Test(diag_sock, recognises_sshd_by_the_name_of_its_process)
{
	pid_t pid = listening_child(2222, be_called_sshd);

	expect_sshd(2222);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

Test(diag_sock, takes_port_22_of_root_for_sshds_where_no_unit_can_be_told)
{
	struct socket_list sockets;
	struct arena arena = { 0 };
	struct error err = { 0 };

	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, NULL) < 0)
		cr_skip_test("needs root");
	(void)listen_on("0.0.0.0", 22, 0);
	(void)listen_on("0.0.0.0", 23, 0);
	cr_assert_eq(sock_tcp_listeners(&arena, &sockets, &err), 0, "%s", err.text);
	cr_expect(present(find(sockets, "0.0.0.0", 22))->sshd);
	cr_expect_not(present(find(sockets, "0.0.0.0", 23))->sshd);
	arena_done(&arena);
}

#define SLICE "/sys/fs/cgroup/tproxyd-test.slice"

static void join_ssh_service(void)
{
	(void)namespace_write(SLICE "/ssh.service/cgroup.procs", "0");
}

/* Somebody has changed sshd's port: the list of listeners does not have the old one any more. */
static void expect_session_without_listener(uint16_t port)
{
	static const struct socket_list none = { 0 };
	struct port_list ports = { .n = 99 };
	struct arena arena = { 0 };
	struct error err = { 0 };
	int fd;

	cr_assert_eq(sock_ssh_sessions(&arena, &none, &ports, &err), 0, "%s", err.text);
	cr_expect_eq(ports.n, 0);
	fd = connect_to("127.0.0.1", port);
	/* The child does not accept: nobody owns it yet, which the kernel tells as root's. */
	cr_assert_eq(sock_ssh_sessions(&arena, &none, &ports, &err), 0, "%s", err.text);
	cr_assert_eq(ports.n, 1);
	cr_expect_eq(ports.items[0], port);
	(void)close(fd);
	arena_done(&arena);
}

Test(diag_sock, recognises_sshd_by_the_unit_that_made_the_socket)
{
	pid_t pid;

	if (getuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0 ||
	    (mkdir(SLICE, 0755) < 0 && errno != EEXIST))
		cr_skip_test("needs root and cgroup v2");
	cr_assert(mkdir(SLICE "/ssh.service", 0755) == 0 || errno == EEXIST);
	pid = listening_child(2222, join_ssh_service);
	expect_sshd(2222);
	expect_session_without_listener(2222);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	cr_expect_eq(rmdir(SLICE "/ssh.service"), 0, "%s", strerror(errno));
	cr_expect_eq(rmdir(SLICE), 0, "%s", strerror(errno));
}
