/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/probe/probe.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/process/namespace.h"

#define MSEC 1000ULL
/* Long enough for what answers, on any machine; and for how long we wait for what does not. */
#define PATIENCE (30000 * MSEC)
#define SHORT    (400 * MSEC)
#define SOME_ID  54321

#define LIVE                                                                                \
	"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n" \
	"5\r\nLIVE\n\r\n0\r\n\r\n"
#define PRE "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 17\r\n\r\nPRE_INITIALIZING\n"

/* What the stand-in for kuma-dp, one process, does. */
struct proxy {
	const char *admin; /* response; NULL: no admin endpoint */
	bool admin_tcp, admin_hangs, dns_silent, dns_wrong_id;
	const char *outbound, *inbound; /* listening addresses, by blanks */
	const char *dns, *envoy_dns;
	uid_t uid;
	pid_t pid;
	char dir[32], socket[64];
};

static const struct proxy serving = {
	.admin = LIVE,
	.outbound = "0.0.0.0 ::",
	.inbound = "0.0.0.0 ::",
	.dns = "127.0.0.1 ::1",
	.envoy_dns = "127.0.0.1",
};

/* With SO_REUSEADDR: of UDP, others who have it too can then bind the port as well. */
static int open_port(const char *addr, int type, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool v6 = inet_pton(AF_INET6, addr, &six.sin6_addr) == 1;
	int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

	(void)inet_pton(AF_INET, addr, &four.sin_addr);
	if (v6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, v6 ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		 v6 ? sizeof(six) : sizeof(four)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 5) < 0))
		_exit(3);
	return fd;
}

struct fds {
	struct pollfd items[16];
	nfds_t n;
};

static void open_ports(struct fds *fds, const char *addrs, int type, uint16_t port)
{
	char copy[64], *save, *addr;

	(void)snprintf(copy, sizeof(copy), "%s", addrs ? addrs : "");
	for (addr = strtok_r(copy, " ", &save); addr; addr = strtok_r(NULL, " ", &save))
		fds->items[fds->n++] =
			(struct pollfd){ .fd = open_port(addr, type, port), .events = POLLIN };
}

static int open_admin(const struct proxy *proxy)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (proxy->admin_tcp)
		return open_port("127.0.0.1", SOCK_STREAM, 9901);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", proxy->socket);
	(void)umask(0177);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 5) < 0)
		_exit(4);
	return fd;
}

static void answer_admin(const struct proxy *proxy, int listener)
{
	int fd = accept(listener, NULL, NULL);
	char request[512];
	ssize_t n = read(fd, request, sizeof(request) - 1);

	/* Envoy answers 426 to HTTP/1.0 (seen). */
	request[n > 0 ? n : 0] = '\0';
	if (!strstr(request, "GET /ready HTTP/1.1\r\n") ||
	    !strstr(request, "Connection: close\r\n"))
		_exit(5);
	(void)!write(fd, proxy->admin, strlen(proxy->admin));
	if (!proxy->admin_hangs)
		(void)close(fd);
}

static void answer_dns(const struct proxy *proxy, int fd)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t query[512];
	ssize_t n = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &len);

	if (n < 12 || proxy->dns_silent)
		return;
	query[2] |= 0x80;
	if (proxy->dns_wrong_id)
		query[0] ^= 1;
	(void)sendto(fd, query, (size_t)n, 0, (struct sockaddr *)&from, len);
}

static _Noreturn void proxy_main(const struct proxy *proxy, int ready)
{
	struct fds fds = { 0 };
	nfds_t first_dns;

	(void)alarm(60);
	if (proxy->uid != getuid() && setresuid(proxy->uid, proxy->uid, proxy->uid) < 0)
		_exit(2);
	fds.items[fds.n++] =
		(struct pollfd){ .fd = proxy->admin ? open_admin(proxy) : -1, .events = POLLIN };
	open_ports(&fds, proxy->outbound, SOCK_STREAM, 15001);
	open_ports(&fds, proxy->inbound, SOCK_STREAM, 15006);
	first_dns = fds.n;
	open_ports(&fds, proxy->dns, SOCK_DGRAM, 15053);
	open_ports(&fds, proxy->envoy_dns, SOCK_DGRAM, 15054);
	(void)!write(ready, "", 1);
	for (;;) {
		(void)poll(fds.items, fds.n, -1);
		if (fds.items[0].revents)
			answer_admin(proxy, fds.items[0].fd);
		for (nfds_t i = first_dns; i < fds.n; i++)
			if (fds.items[i].revents)
				answer_dns(proxy, fds.items[i].fd);
	}
}

static void proxy_up(struct proxy *proxy)
{
	int fds[2];
	char c;

	(void)snprintf(proxy->dir, sizeof(proxy->dir), "/tmp/probe.XXXXXX");
	cr_assert_not_null(mkdtemp(proxy->dir));
	(void)snprintf(proxy->socket, sizeof(proxy->socket), "%s/admin.sock", proxy->dir);
	if (!proxy->uid)
		proxy->uid = getuid();
	cr_assert_eq(chown(proxy->dir, proxy->uid, (gid_t)-1), 0);
	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	proxy->pid = fork();
	if (proxy->pid == 0)
		proxy_main(proxy, fds[1]);
	(void)close(fds[1]);
	cr_assert_eq(read(fds[0], &c, 1), 1, "the stand-in did not come up");
	(void)close(fds[0]);
}

static void proxy_down(struct proxy *proxy)
{
	(void)kill(proxy->pid, SIGKILL);
	(void)waitpid(proxy->pid, NULL, 0);
	(void)unlink(proxy->socket);
	(void)rmdir(proxy->dir);
}

static struct probe_target target_of(const struct proxy *proxy)
{
	return (struct probe_target){
		.admin_socket = proxy->socket,
		.admin_port = 9901,
		.uid = proxy->uid,
		.gid = getgid(),
		.family = { true, true },
		.outbound_port = 15001,
		.inbound_port = 15006,
		.dns_port = 15053,
		.dns_family = { true, true },
		.envoy_dns_port = 15054,
	};
}

struct round {
	sd_event *event;
	struct probe *probe;
	struct probe_result result;
	unsigned done;
	unsigned turns; /* of the loop */
	uint64_t usec;  /* how long it took */
};

static void on_done(const struct probe_result *result, void *userdata)
{
	struct round *round = userdata;

	round->result = *result;
	round->done++;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static struct round ask(const struct probe_target *target, uint64_t timeout_usec)
{
	struct probe_target copy = *target;
	struct round round = { 0 };
	struct error err = { 0 };
	uint64_t start;

	cr_assert_geq(sd_event_new(&round.event), 0);
	cr_assert_eq(probe_new(round.event, &round.probe, &err), 0, "%s", err.text);
	start = now_usec();
	copy.timeout_usec = timeout_usec;
	cr_assert_eq(probe_start(round.probe, &copy, on_done, &round, &err), 0, "%s", err.text);
	cr_expect_eq(round.done, 0, "done is called from the loop only");
	for (; round.done == 0; round.turns++)
		cr_assert_geq(sd_event_run(round.event, UINT64_MAX), 0);
	round.usec = now_usec() - start;
	cr_expect_eq(round.done, 1);
	probe_free(round.probe);
	sd_event_unref(round.event);
	return round;
}

/* One round with this proxy; what must be missing. */
static struct round expect_missing(struct proxy proxy, const char *missing)
{
	struct probe_target target;
	struct round round;

	proxy_up(&proxy);
	target = target_of(&proxy);
	if (proxy.admin_hangs || proxy.dns_silent || proxy.dns_wrong_id) {
		round = ask(&target, SHORT);
	} else {
		round = ask(&target, PATIENCE);
		cr_expect_lt(round.usec, PATIENCE, "it does not wait for its time-out");
	}
	cr_expect_str_eq(round.result.missing, missing);
	if (!proxy.admin_tcp && proxy.admin && round.result.admin)
		cr_expect_eq(round.result.envoy, proxy.pid);
	proxy_down(&proxy);
	return round;
}

Test(probe, misses_nothing_where_everything_serves)
{
	struct round round = expect_missing(serving, "");

	cr_expect(round.result.admin && round.result.listeners && round.result.dns);
}

Test(probe, misses_everything_where_nothing_runs_and_says_so_at_once)
{
	struct round round = expect_missing(
		(struct proxy){ 0 },
		"Envoy, port 15001 on IPv4, port 15001 on IPv6, port 15006 on IPv4, port 15006 on "
		"IPv6, DNS on IPv4, DNS on IPv6, Envoy's DNS");

	cr_expect(!round.result.admin && !round.result.listeners && !round.result.dns);
}

Test(probe, tells_what_envoy_says_of_itself)
{
	struct proxy proxy = serving;
	struct round round;

	proxy.admin = PRE;
	round = expect_missing(proxy, "Envoy (PRE_INITIALIZING)");
	cr_expect(!round.result.admin && round.result.listeners && round.result.dns);
	cr_expect(round.result.alive);
}

Test(probe, judges_an_envoy_that_does_not_close_by_what_it_said)
{
	struct proxy proxy = serving;

	proxy.admin_hangs = true;
	cr_expect(expect_missing(proxy, "").result.admin);
	proxy.admin = "HTTP/1.1 200 OK\r\ncontent-le";
	cr_expect_not(expect_missing(proxy, "Envoy").result.admin);
}

Test(probe, does_not_wait_for_an_envoy_that_says_nothing)
{
	struct proxy proxy = serving;
	struct round round;

	proxy.admin = "";
	proxy.admin_hangs = true;
	round = expect_missing(proxy, "Envoy");
	cr_expect_not(round.result.alive);
	cr_expect_geq(round.usec, SHORT);
	cr_expect(round.result.listeners && round.result.dns);
}

Test(probe, asks_the_admin_port_where_there_is_no_socket)
{
	struct proxy proxy = serving;

	proxy.admin_tcp = true;
	cr_expect(expect_missing(proxy, "").result.admin);
}

Test(probe, does_not_believe_somebody_else_on_the_admin_port)
{
	struct proxy proxy = { .admin = LIVE, .admin_tcp = true };
	struct probe_target target;

	proxy_up(&proxy);
	target = (struct probe_target){ .admin_socket = "/nonexistent", .admin_port = 9901 };
	target.uid = getuid() + 1;
	cr_expect_not(ask(&target, PATIENCE).result.admin);
	target.uid = getuid();
	cr_expect(ask(&target, PATIENCE).result.admin);
	proxy_down(&proxy);
}

Test(probe, misses_each_port_and_family_by_name)
{
	struct proxy proxy = serving;

	proxy.inbound = "0.0.0.0";
	cr_expect_not(expect_missing(proxy, "port 15006 on IPv6").result.listeners);
	proxy.outbound = "::";
	(void)expect_missing(proxy, "port 15001 on IPv4, port 15006 on IPv6");
}

Test(probe, wants_inbound_on_all_addresses_and_outbound_on_loopback)
{
	struct proxy proxy = serving;

	proxy.outbound = "127.0.0.1 ::1";
	(void)expect_missing(proxy, "");
	proxy.inbound = "127.0.0.1 ::1";
	(void)expect_missing(proxy, "port 15006 on IPv4, port 15006 on IPv6");
}

Test(probe, does_not_take_another_users_listener_for_the_proxy)
{
	struct proxy proxy = { .inbound = "0.0.0.0 ::", .outbound = "0.0.0.0 ::" };
	struct probe_target target;
	struct round round;
	char expected[160];

	proxy_up(&proxy);
	target = (struct probe_target){ .admin_socket = "/nonexistent",
					.uid = getuid() + 1,
					.family = { true, false },
					.inbound_port = 15006 };
	round = ask(&target, PATIENCE);
	(void)snprintf(expected, sizeof(expected),
		       "Envoy, port 15006 on IPv4 (user %u listens there)", getuid());
	cr_expect_str_eq(round.result.missing, expected);
	cr_expect_not(round.result.listeners);
	cr_expect(round.result.dns, "DNS is not redirected here");
	proxy_down(&proxy);
}

Test(probe, does_not_believe_another_user_who_answers_dns)
{
	struct proxy proxy = serving;
	struct probe_target target;
	struct round round;
	char expected[160];

	proxy_up(&proxy);
	target = target_of(&proxy);
	target.uid = getuid() + 1;
	target.admin_socket = "/nonexistent";
	target.outbound_port = target.inbound_port = 0;
	round = ask(&target, PATIENCE);
	(void)snprintf(
		expected, sizeof(expected),
		"Envoy, DNS on IPv4: user %u listens there, DNS on IPv6: user %u listens there, "
		"Envoy's DNS: user %u listens there",
		getuid(), getuid(), getuid());
	cr_expect_str_eq(round.result.missing, expected);
	cr_expect_not(round.result.dns);
	proxy_down(&proxy);
}

/* The proxy serves as another user, and we have a socket at that port too. */
static void expect_beside(const char *addr, uint16_t port, const char *missing)
{
	struct proxy proxy = serving;
	struct probe_target target;
	struct round round;
	int fd;

	proxy.uid = SOME_ID;
	proxy.admin_tcp = true;
	proxy_up(&proxy);
	target = target_of(&proxy);
	fd = open_port(addr, SOCK_DGRAM, port);
	round = ask(&target, SHORT);
	/* Which of the two has the question is the kernel's choice. */
	cr_expect_str_eq(round.result.missing, missing, "%s: %s", addr, round.result.missing);
	cr_expect_eq(round.result.dns, missing[0] == 0);
	(void)close(fd);
	proxy_down(&proxy);
}

Test(probe, does_not_believe_the_proxy_while_another_user_listens_beside_it)
{
	if (getuid() != 0)
		cr_skip_test("needs root");
	expect_beside("127.0.0.1", 15054, "Envoy's DNS: user 0 listens there");
	expect_beside("0.0.0.0", 15054, "Envoy's DNS: user 0 listens there");
	expect_beside("127.0.0.1", 15053, "DNS on IPv4: user 0 listens there");
	expect_beside("::1", 15053, "DNS on IPv6: user 0 listens there");
	expect_beside("::", 15053, "DNS on IPv6: user 0 listens there");
	expect_beside("127.0.0.2", 15053, "");
	expect_beside("::1", 15054, "");
}

Test(probe, ends_in_time_where_dns_is_silent)
{
	struct proxy proxy = serving;
	struct round round;

	proxy.dns_silent = true;
	round = expect_missing(proxy, "DNS on IPv4, DNS on IPv6, Envoy's DNS");
	cr_expect(round.result.admin && round.result.listeners && !round.result.dns);
	cr_expect_geq(round.usec, SHORT);
}

Test(probe, misses_dns_by_family_and_envoys_by_name)
{
	struct proxy proxy = serving;

	proxy.dns = "127.0.0.1";
	(void)expect_missing(proxy, "DNS on IPv6");
	proxy.envoy_dns = NULL;
	(void)expect_missing(proxy, "DNS on IPv6, Envoy's DNS");
}

Test(probe, does_not_take_a_reply_to_somebody_else)
{
	struct proxy proxy = serving;

	proxy.dns_wrong_id = true;
	cr_expect_not(expect_missing(proxy, "DNS on IPv4, DNS on IPv6, Envoy's DNS").result.dns);
}

/* Answers are read at the end. */
static struct round ask_lazily(const struct proxy *proxy, uint64_t timeout_usec)
{
	struct probe_target target = target_of(proxy);

	target.lazy = true;
	return ask(&target, timeout_usec);
}

Test(probe, wakes_the_loop_once_where_it_is_lazy)
{
	struct proxy proxy = serving;
	struct round round;

	for (unsigned tcp = 0; tcp < 2; tcp++) {
		proxy.admin_tcp = tcp;
		proxy_up(&proxy);
		/* Longer than any stand-in takes to answer. */
		round = ask_lazily(&proxy, 2000 * MSEC);
		cr_expect_str_eq(round.result.missing, "");
		cr_expect(round.result.admin && round.result.listeners && round.result.dns);
		cr_expect_eq(round.result.envoy, tcp ? 0 : proxy.pid);
		cr_expect_geq(round.usec, 2000 * MSEC);
		cr_expect_eq(round.turns, 1);
		proxy_down(&proxy);
	}
}

Test(probe, misses_what_has_not_answered_where_it_is_lazy)
{
	struct proxy proxy = serving;
	struct round round;

	proxy.admin = "";
	proxy.admin_hangs = proxy.dns_silent = true;
	proxy_up(&proxy);
	round = ask_lazily(&proxy, SHORT);
	cr_expect_str_eq(round.result.missing, "Envoy, DNS on IPv4, DNS on IPv6, Envoy's DNS");
	cr_expect_eq(round.turns, 1);
	proxy_down(&proxy);
}

Test(probe, does_not_wait_where_something_fails_at_once)
{
	struct proxy proxy = serving;
	struct round round;

	proxy.admin = NULL;
	proxy_up(&proxy);
	round = ask_lazily(&proxy, PATIENCE);
	cr_expect(strncmp(round.result.missing, "Envoy", 5) == 0, "%s", round.result.missing);
	cr_expect_lt(round.usec, PATIENCE);
	proxy_down(&proxy);
}

static int hurry_probe(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	probe_hurry(((struct round *)userdata)->probe);
	return 0;
}

Test(probe, ends_at_once_when_it_is_told_to)
{
	struct proxy proxy = serving;
	struct round round = { 0 };
	struct probe_target target;
	struct error err = { 0 };
	uint64_t start = now_usec();

	proxy.dns_silent = true;
	proxy_up(&proxy);
	target = target_of(&proxy);
	target.lazy = true;
	target.timeout_usec = PATIENCE;
	cr_assert_geq(sd_event_new(&round.event), 0);
	cr_assert_eq(probe_new(round.event, &round.probe, &err), 0, "%s", err.text);
	probe_hurry(round.probe); /* nothing is under way */
	cr_assert_eq(probe_start(round.probe, &target, on_done, &round, &err), 0, "%s", err.text);
	cr_assert_geq(sd_event_add_time_relative(round.event, NULL, CLOCK_MONOTONIC, SHORT, 1000,
						 hurry_probe, &round),
		      0);
	while (round.done == 0)
		cr_assert_geq(sd_event_run(round.event, UINT64_MAX), 0);
	cr_expect_lt(now_usec() - start, PATIENCE);
	cr_expect_str_eq(round.result.missing, "DNS on IPv4, DNS on IPv6, Envoy's DNS");
	probe_free(round.probe);
	sd_event_unref(round.event);
	proxy_down(&proxy);
}

/* As root in the unit, whose capabilities do not include those that override file modes. */
static void drop_dac(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t dac = 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH;

	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~dac;
	data[0].permitted &= ~dac;
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

Test(probe, reaches_the_private_socket_of_the_user_without_overriding_modes)
{
	struct proxy proxy = serving;
	struct probe_target target;
	struct round round;

	if (getuid() != 0)
		cr_skip_test("needs root");
	proxy.uid = SOME_ID;
	proxy_up(&proxy);
	target = target_of(&proxy);
	drop_dac();
	cr_assert(access(proxy.socket, F_OK) < 0 && errno == EACCES, "the test tests nothing");
	round = ask(&target, PATIENCE);
	cr_expect_str_eq(round.result.missing, "");
	cr_expect_eq(round.result.envoy, proxy.pid);
	cr_expect(access(proxy.socket, F_OK) < 0, "and is itself again afterwards");
	(void)kill(proxy.pid, SIGKILL);
	/* Only its owner can remove what is in the directory now. */
	cr_assert_eq(setresuid(SOME_ID, SOME_ID, 0), 0);
	cr_expect_eq(unlink(proxy.socket), 0);
	cr_assert_eq(setresuid(0, 0, 0), 0);
	(void)waitpid(proxy.pid, NULL, 0);
	(void)rmdir(proxy.dir);
}

static void must_not_be_called(const struct probe_result *result, void *userdata)
{
	(void)userdata;
	cr_assert_fail("done was called: %s", result->missing);
}

Test(probe, can_be_freed_in_the_middle_of_a_round)
{
	struct proxy proxy = serving;
	struct probe_target target;
	struct error err = { 0 };
	struct probe *probe;
	sd_event *event;

	proxy.dns_silent = true;
	proxy_up(&proxy);
	target = target_of(&proxy);
	target.timeout_usec = 100 * MSEC;
	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(probe_new(event, &probe, &err), 0);
	cr_assert_eq(probe_start(probe, &target, must_not_be_called, NULL, &err), 0);
	cr_expect_eq(probe_start(probe, &target, must_not_be_called, NULL, &err), -EBUSY);
	(void)sd_event_run(event, 10 * MSEC);
	probe_free(probe);
	for (int i = 0; i < 5; i++)
		(void)sd_event_run(event, 50 * MSEC);
	sd_event_unref(event);
	proxy_down(&proxy);
}

struct again {
	struct round round;
	const struct probe_target *target;
};

static void ask_again(const struct probe_result *result, void *userdata)
{
	struct again *again = userdata;
	struct error err = { 0 };

	(void)result;
	if (++again->round.done == 3)
		(void)sd_event_exit(again->round.event, 0);
	else
		cr_assert_eq(probe_start(again->round.probe, again->target, ask_again, again, &err),
			     0, "%s", err.text);
}

Test(probe, can_start_the_next_round_from_the_end_of_one)
{
	const struct probe_target nothing = { .admin_socket = "/nonexistent",
					      .timeout_usec = 400 * MSEC };
	struct again again = { .target = &nothing };
	struct error err = { 0 };

	cr_assert_geq(sd_event_new(&again.round.event), 0);
	cr_assert_eq(probe_new(again.round.event, &again.round.probe, &err), 0);
	cr_assert_eq(probe_start(again.round.probe, &nothing, ask_again, &again, &err), 0);
	cr_assert_geq(sd_event_loop(again.round.event), 0);
	cr_expect_eq(again.round.done, 3);
	probe_free(again.round.probe);
	sd_event_unref(again.round.event);
}
