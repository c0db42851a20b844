/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What an SSH server is, by processes that only look like one. */

#include "daemon/host/ssh.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/process/namespace.h"

#define SOME_ID 54321
#define HERE    "192.0.2.1"
#define SLICE   "/sys/fs/cgroup/tproxyd-test.slice"

static struct arena arena;
static pid_t children[8];
static unsigned n_children;

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };

	cr_assert_eq(inet_pton(AF_INET, text, &addr.sin_addr), 1);
	return addr;
}

static int listen_on(const char *text, uint16_t port)
{
	struct sockaddr_in addr = address(text, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 5) < 0)
		_exit(9);
	return fd;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in addr = address(HERE, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0, "%s", strerror(errno));
	return fd;
}

/* What a process does that may be an SSH server, once it is called so. */
struct role {
	const char *name; /* NULL: what this program is called */
	const char *listens;
	uint16_t port;
	uid_t uid;         /* from before it listens */
	uid_t uid_later;   /* from after it listens */
	const char *word;  /* becomes a shell that is given this word */
	const char *group; /* file of a control group, joined before it listens */
	bool session;      /* accepts one connection and stops listening */
};

static void play(const struct role *role, int ready)
{
	int fd;

	if (role->group)
		(void)namespace_write(role->group, "0");
	if (role->uid && setresuid(role->uid, role->uid, role->uid) < 0)
		_exit(9);
	if (role->name)
		(void)prctl(PR_SET_NAME, role->name);
	fd = listen_on(role->listens ? role->listens : "0.0.0.0", role->port);
	if (role->uid_later && setresuid(role->uid_later, role->uid_later, role->uid_later) < 0)
		_exit(9);
	(void)!write(ready, "", 1);
	if (role->session && accept(fd, NULL, NULL) >= 0) {
		(void)close(fd);
		(void)!write(ready, "", 1);
	}
	(void)alarm(60);
	if (role->word)
		(void)execl("/bin/sh", "sh", "-c", "echo; while :; do read line; sleep 9; done",
			    role->word, NULL);
	(void)pause();
	_exit(0);
}

/* Returns the descriptor on which the process says that it is ready, once it is. */
static int start(struct role role)
{
	int fds[2];
	pid_t pid;
	char c;

	cr_assert_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		if (role.word)
			(void)dup2(fds[1], STDOUT_FILENO);
		play(&role, fds[1]);
	}
	children[n_children++] = pid;
	(void)close(fds[1]);
	cr_assert_eq(read(fds[0], &c, 1), 1, "port %u", role.port);
	if (role.word)
		cr_assert_eq(read(fds[0], &c, 1), 1, "no shell");
	return fds[0];
}

static void begin(void)
{
	if (getuid() != 0)
		cr_skip_test("needs root");
	cr_assert_eq(system("ip addr add " HERE "/32 dev lo"), 0);
	(void)unsetenv("SSH_CONNECTION");
	(void)unsetenv("INVOCATION_ID");
}

static void end(void)
{
	for (unsigned i = 0; i < n_children; i++) {
		(void)kill(children[i], SIGKILL);
		(void)waitpid(children[i], NULL, 0);
	}
	arena_done(&arena);
}

TestSuite(ssh, .init = begin, .fini = end);

static struct facts find(void)
{
	struct tcp_socket_list sockets;
	struct facts facts = { 0 };
	struct error err = { 0 };

	cr_assert_eq(sock_tcp_list(&arena, &sockets, &err), 0, "%s", err.text);
	ssh_ports_find(&arena, &sockets, &facts);
	return facts;
}

/* "22 sshd listens there; 23? ..." */
static const char *text_of(const struct facts *facts)
{
	const char *text = "";

	for (size_t i = 0; i < facts->ssh_ports.n; i++) {
		const struct facts_ssh_port *port = &facts->ssh_ports.items[i];

		text = arena_printf(&arena, "%s%s%u%s %s", text, i ? "; " : "", port->port,
				    port->unknown ? "?" : "", port->why);
	}
	return text;
}

static void expect_found(const char *text)
{
	struct facts facts = find();

	cr_expect_str_eq(text_of(&facts), text);
	cr_expect_not(facts.ssh_unseen);
}

Test(ssh, servers_are_known_by_their_program_whatever_the_port)
{
	(void)start((struct role){ .name = "tinysshd", .port = 2224 });
	(void)start((struct role){ .name = "dropbear", .port = 2222 });
	(void)start((struct role){ .name = "sshd", .port = 50022 });
	(void)start((struct role){ .name = "sshguard", .port = 2225 });
	expect_found("2222 dropbear listens there; 2224 tinysshd listens there; "
		     "50022 sshd listens there");
}

Test(ssh, servers_are_known_by_the_program_that_another_starts_for_them)
{
	(void)start((struct role){ .word = "/usr/sbin/tinysshd", .port = 2222 });
	(void)start((struct role){ .word = "sshd", .port = 2223 });
	(void)start((struct role){ .word = "/var/log/sshd.log", .port = 2224 });
	expect_found("2222 tinysshd listens there");
}

Test(ssh, what_a_user_calls_sshd_does_not_count)
{
	(void)start((struct role){ .name = "sshd", .port = 8080, .uid = SOME_ID });
	(void)start((struct role){ .name = "sshd", .port = 8081, .uid_later = SOME_ID });
	(void)start((struct role){ .word = "/usr/sbin/sshd", .port = 8082, .uid = SOME_ID });
	expect_found("");
}

/* As a program of root's does that was handed a descriptor. */
Test(ssh, a_users_listener_does_not_count_whoever_holds_it)
{
	int fd;

	cr_assert_eq(setresuid(SOME_ID, SOME_ID, 0), 0);
	fd = listen_on("0.0.0.0", 8080);
	cr_assert_eq(setresuid(0, 0, 0), 0);
	cr_assert_geq(fd, 0);
	(void)start((struct role){ .name = "sshd", .port = 2222 });
	expect_found("2222 sshd listens there");
}

Test(ssh, what_listens_on_loopback_alone_is_left_to_itself)
{
	(void)start((struct role){ .name = "sshd", .listens = "127.0.0.1", .port = 6010 });
	(void)start((struct role){ .listens = "127.0.0.1", .port = 22 });
	expect_found("");
}

/* Somebody has changed the port of sshd. */
Test(ssh, a_session_counts_without_its_listener)
{
	int ready = start((struct role){ .name = "sshd-session", .port = 2222, .session = true });
	int high = start((struct role){ .name = "sshd", .port = 40022, .session = true });
	char c;

	(void)connect_to(2222);
	(void)connect_to(40022);
	cr_assert_eq(read(ready, &c, 1), 1);
	cr_assert_eq(read(high, &c, 1), 1);
	expect_found("2222 a session of sshd-session is open there");
}

/* As in the unit's sandbox: root, but with less than the server has. */
Test(ssh, a_server_that_cannot_be_looked_into_is_told_of)
{
	static const cap_value_t all_to_see[] = { CAP_SYS_PTRACE, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN };
	const int n = (int)ELEMENTS(all_to_see);
	cap_t caps = cap_get_proc();
	struct facts facts;

	(void)start((struct role){ .port = 2223 });
	cr_assert_eq(cap_set_flag(caps, CAP_EFFECTIVE, n, all_to_see, CAP_CLEAR), 0);
	cr_assert_eq(cap_set_flag(caps, CAP_PERMITTED, n, all_to_see, CAP_CLEAR), 0);
	(void)start((struct role){ .name = "sshd", .port = 2222 });
	(void)start((struct role){ .port = 22 });
	cr_assert_eq(cap_set_proc(caps), 0);
	(void)cap_free(caps);
	facts = find();
	cr_expect(facts.ssh_unseen);
	cr_expect_str_eq(text_of(&facts),
			 "22? root listens there with what is no SSH server that is known");
}

Test(ssh, port_22_of_root_counts_whatever_serves_it)
{
	(void)start((struct role){ .port = 22 });
	expect_found("22? root listens there with what is no SSH server that is known");
}

Test(ssh, port_22_of_a_user_does_not_count)
{
	cr_assert_eq(namespace_write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"), 0);
	(void)start((struct role){ .port = 22, .uid = SOME_ID });
	expect_found("");
}

Test(ssh, the_port_of_our_own_session_counts_where_root_serves_it)
{
	(void)start((struct role){ .port = 2022 });
	(void)start((struct role){ .port = 2023, .uid = SOME_ID });
	cr_assert_eq(setenv("SSH_CONNECTION", "192.0.2.9 50000 192.0.2.1 2022", 1), 0);
	expect_found("2022? you are logged in over it (SSH_CONNECTION, which the service does not "
		     "see) and no SSH server that is known listens there");
	cr_assert_eq(setenv("SSH_CONNECTION", "192.0.2.9 50000 192.0.2.1 2023", 1), 0);
	expect_found("");
	cr_assert_eq(setenv("SSH_CONNECTION", "192.0.2.9 50000 192.0.2.1 2024", 1), 0);
	expect_found("");
	cr_assert_eq(setenv("SSH_CONNECTION", "nonsense", 1), 0);
	expect_found("");
}

static void own_cgroups(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0 ||
	    (mkdir(SLICE, 0755) < 0 && errno != EEXIST))
		cr_skip_test("needs cgroup v2");
}

static const char *make_cgroup(const char *name, uid_t owner)
{
	const char *path = arena_printf(&arena, SLICE "/%s", name);

	cr_assert(mkdir(path, 0755) == 0 || errno == EEXIST, "%s", strerror(errno));
	cr_assert_eq(chown(path, owner, (gid_t)-1), 0);
	return arena_printf(&arena, "%s/cgroup.procs", path);
}

/* systemd makes the socket in the unit's group. */
Test(ssh, a_socket_unit_counts_by_its_name_where_it_is_roots)
{
	const char *const names[] = { "openssh-2.socket", "user@1.service/ssh.socket",
				      "user@1.service", "sshguard.service", "" };
	const char *ours, *inner, *service;

	own_cgroups();
	ours = make_cgroup(names[0], 0);
	(void)make_cgroup(names[2], SOME_ID);
	inner = make_cgroup(names[1], 0);
	service = make_cgroup(names[3], 0);
	(void)start((struct role){ .group = ours, .port = 2222 });
	(void)start((struct role){ .group = inner, .port = 2223 });
	(void)start((struct role){ .group = service, .port = 2224 });
	(void)start((struct role){ .group = ours, .port = 2225, .uid = SOME_ID });
	expect_found("2222 openssh-2.socket listens there");
	end();
	n_children = 0;
	for (size_t i = 0; i < ELEMENTS(names); i++)
		cr_expect_eq(rmdir(arena_printf(&arena, SLICE "/%s", names[i])), 0, "%s", names[i]);
}

/* What `prepare` hands to `run`. */
struct handing {
	char dir[32], path[48];
	struct facts facts;
	struct error err;
};

static struct handing hand_over(void)
{
	struct handing h = { .dir = "/tmp/tproxyd-ssh-XXXXXX" };

	cr_assert_not_null(mkdtemp(h.dir));
	(void)snprintf(h.path, sizeof(h.path), "%s/ssh-ports", h.dir);
	cr_assert_eq(setenv("INVOCATION_ID", "00112233445566778899aabbccddeeff", 1), 0);
	(void)start((struct role){ .port = 22 });
	(void)start((struct role){ .name = "sshd", .port = 2222 });
	cr_assert_eq(ssh_ports_hand_over(&arena, h.path, &h.err), 0, "%s", h.err.text);
	return h;
}

static void handing_done(const struct handing *h)
{
	(void)unlink(h->path);
	cr_expect_eq(rmdir(h->dir), 0, "%s", strerror(errno));
}

static void expect_refused(struct handing *h, const char *why)
{
	cr_expect_not(ssh_ports_take(&arena, h->path, &h->facts), "%s", why);
	cr_expect_eq(h->facts.ssh_ports.n, 0, "%s", why);
}

Test(ssh, what_is_handed_over_arrives)
{
	struct handing h = hand_over();
	struct stat st;

	cr_assert_eq(stat(h.path, &st), 0);
	cr_expect_eq(st.st_mode, S_IFREG | 0600);
	cr_assert(ssh_ports_take(&arena, h.path, &h.facts));
	cr_expect_str_eq(text_of(&h.facts),
			 "22? root listens there with what is no SSH server that is known; "
			 "2222 sshd listens there");
	/* Again, over what is there. */
	cr_expect_eq(ssh_ports_hand_over(&arena, h.path, &h.err), 0, "%s", h.err.text);
	handing_done(&h);
}

Test(ssh, what_was_handed_over_for_another_start_is_not_taken)
{
	struct handing h = hand_over();

	cr_assert_eq(setenv("INVOCATION_ID", "00112233445566778899aabbccddeef0", 1), 0);
	expect_refused(&h, "another start");
	cr_assert_eq(unsetenv("INVOCATION_ID"), 0);
	expect_refused(&h, "no unit");
	(void)unlink(h.path);
	cr_expect_eq(ssh_ports_hand_over(&arena, h.path, &h.err), 0, "%s", h.err.text);
	cr_expect_lt(access(h.path, F_OK), 0, "outside of a unit nobody is to take it");
	handing_done(&h);
}

Test(ssh, what_others_could_have_written_is_not_taken)
{
	struct handing h = hand_over();
	char other[64];

	cr_assert_eq(chmod(h.path, 0620), 0);
	expect_refused(&h, "written by the group");
	cr_assert(chmod(h.path, 0600) == 0 && chown(h.path, SOME_ID, 0) == 0);
	expect_refused(&h, "a user's");
	cr_assert(chown(h.path, 0, 0) == 0 && chown(h.dir, SOME_ID, 0) == 0);
	expect_refused(&h, "in a user's directory");
	cr_assert(chown(h.dir, 0, 0) == 0 && chmod(h.dir, 01777) == 0);
	expect_refused(&h, "in everybody's directory");
	cr_assert_eq(chmod(h.dir, 0755), 0);
	cr_expect(ssh_ports_take(&arena, h.path, &h.facts));
	h.facts.ssh_ports.n = 0;

	(void)snprintf(other, sizeof(other), "%s.other", h.path);
	cr_assert(rename(h.path, other) == 0 && symlink(other, h.path) == 0);
	expect_refused(&h, "a link");
	cr_assert(unlink(h.path) == 0 && mkfifo(h.path, 0600) == 0);
	expect_refused(&h, "a FIFO");
	(void)unlink(other);
	handing_done(&h);
}

Test(ssh, what_is_damaged_is_not_taken)
{
	static const char *const texts[] = {
		"",
		"\n",
		"00112233445566778899aabbccddeeff",
		"00112233445566778899aabbccddeeff\n22\n",
		"00112233445566778899aabbccddeeff\n22 known\n",
		"00112233445566778899aabbccddeeff\n70000 known sshd listens there\n",
		"00112233445566778899aabbccddeeff\n22 perhaps sshd listens there\n"
	};
	struct handing h = hand_over();

	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		cr_assert_eq(truncate(h.path, 0), 0);
		cr_assert_eq(namespace_write(h.path, texts[i]), 0);
		expect_refused(&h, texts[i]);
	}
	handing_done(&h);
}

Test(ssh, what_cannot_be_handed_over_is_said)
{
	struct handing h = hand_over();
	struct error err = { 0 };

	(void)unlink(h.path);
	cr_assert_eq(mkdir(h.path, 0755), 0);
	cr_expect_lt(ssh_ports_hand_over(&arena, h.path, &err), 0);
	cr_expect(strstr(err.text, h.path), "%s", err.text);
	cr_assert_eq(rmdir(h.path), 0);
	cr_expect_eq(ssh_ports_hand_over(&arena, "/nonexistent/ssh-ports", &err), 0,
		     "no runtime directory");
	handing_done(&h);
}
