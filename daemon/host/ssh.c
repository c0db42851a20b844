/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/host/ssh.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/parse.h"
#include "daemon/os/fd.h"
#include "daemon/process/procfs.h"

#define SSH_PORT        22
#define DEPTH_MAX       12
#define EPHEMERAL_FIRST 32768

/* A socket's inode, or that of a control group, and the name of whom it belongs to. */
struct owned {
	uint64_t inode;
	const char *name;
};

struct owned_list {
	struct owned *items;
	size_t n;
};

struct judge {
	struct arena *arena;
	struct owned_list sockets; /* of SSH servers' processes */
	struct owned_list cgroups; /* of SSH servers' socket units */
	bool unseen;               /* there is such a process, but we may not look into it */
};

DEFINE_CLEANUP(DIR *, closedir, NULL);
#define _closedir_ _cleanup_(closedirp)

static DIR *open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		close_fdp(&fd);
	return dir;
}

static const char *program_named(const char *path)
{
	static const char *const names[] = { "sshd", "sshd-session", "dropbear", "tinysshd" };
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < ELEMENTS(names); i++)
		if (strcmp(slash ? slash + 1 : path, names[i]) == 0)
			return names[i];
	return NULL;
}

/* Which SSH server the process is, or was told to start by its path; NULL: none, or root does not
 * run it. */
static const char *server_of(pid_t pid)
{
	struct process process;
	char text[4096];
	const char *name;

	if (process_read(pid, &process) < 0 || process.uid != 0)
		return NULL;
	if (process_text(pid, "comm", text, sizeof(text)) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	name = program_named(text);
	if (name)
		return name;
	memset(text, 0, sizeof(text));
	if (process_text(pid, "cmdline", text, sizeof(text)) < 0)
		return NULL;
	for (const char *word = text; !name && word < text + sizeof(text) && *word;
	     word += strlen(word) + 1)
		name = strchr(word, '/') ? program_named(word) : NULL;
	return name;
}

static void add_sockets_of(struct judge *judge, pid_t pid, const char *name)
{
	char path[64], target[64];
	_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
	dir = open_dir(AT_FDCWD, path);
	judge->unseen = judge->unseen || (!dir && errno == EACCES);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		judge->unseen = judge->unseen || (n < 0 && errno == EACCES);
		if (n < 9 || strncmp(target, "socket:[", 8) != 0)
			continue;
		target[n] = '\0';
		array_push(judge->arena, &judge->sockets,
			   (struct owned){ strtoull(target + 8, NULL, 10), name });
	}
}

static void look_at_processes(struct judge *judge)
{
	_closedir_ DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t pid;

	while (proc && (entry = readdir(proc))) {
		const char *name = parse_decimal(entry->d_name, INT32_MAX, &pid)
					   ? server_of((pid_t)pid)
					   : NULL;

		if (name)
			add_sockets_of(judge, (pid_t)pid, name);
	}
}

/* systemd listens, and starts the program later: the unit's name is all there is. */
static bool is_socket_unit(const char *name)
{
	size_t len = strlen(name);

	return len > 7 && strcmp(name + len - 7, ".socket") == 0 &&
	       (strstr(name, "ssh") || strstr(name, "dropbear"));
}

/* The number by which the kernel names a control group is the inode of its directory. What users
 * make is below a group that is theirs. */
static void look_at_cgroups(struct judge *judge, int parent, const char *name, int depth)
{
	_closedir_ DIR *dir = open_dir(parent, name);
	struct dirent *entry;
	struct stat st;

	if (!dir || fstat(dirfd(dir), &st) < 0 || st.st_uid != 0)
		return;
	if (is_socket_unit(name))
		array_push(judge->arena, &judge->cgroups,
			   (struct owned){ st.st_ino, arena_strdup(judge->arena, name) });
	while (depth > 0 && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			look_at_cgroups(judge, dirfd(dir), entry->d_name, depth - 1);
}

static void judge_init(struct judge *judge)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	look_at_processes(judge);
	for (unsigned i = 0; i < ELEMENTS(roots); i++) {
		if (statfs(roots[i], &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC) {
			look_at_cgroups(judge, AT_FDCWD, roots[i], DEPTH_MAX);
			break;
		}
	}
}

static const char *owner_of(const struct owned_list *list, uint64_t inode)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].inode == inode)
			return list->items[i].name;
	return NULL;
}

/* In ascending order, once; what comes first stays. */
static void add_port(struct arena *arena, struct ssh_port_list *list, struct facts_ssh_port port)
{
	size_t at = list->n;

	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].port == port.port)
			return;
	array_push(arena, list, port);
	if (arena->failed)
		return;
	for (; at > 0 && list->items[at - 1].port > port.port; at--)
		list->items[at] = list->items[at - 1];
	list->items[at] = port;
}

/* By root, and not on loopback alone. */
static bool listened_on(const struct tcp_socket_list *sockets, uint16_t port)
{
	for (size_t i = 0; i < sockets->n; i++) {
		const struct tcp_socket *socket = &sockets->items[i];

		if (socket->listens && socket->at.port == port && socket->at.uid == 0 &&
		    !ip_is_loopback(&socket->at.addr))
			return true;
	}
	return false;
}

static void judge_listener(const struct judge *judge, const struct tcp_socket *socket,
			   struct ssh_port_list *ret)
{
	const char *name = owner_of(&judge->sockets, socket->inode);

	if (!name && socket->cgroup)
		name = owner_of(&judge->cgroups, socket->cgroup);
	if (name)
		add_port(judge->arena, ret,
			 (struct facts_ssh_port){
				 .port = socket->at.port,
				 .why = arena_printf(judge->arena, "%s listens there", name),
			 });
}

/* A session may outlive its listener, and its listener may be inetd's. A high port that nobody
 * listens on is one from which sshd has connected, as it does for a forwarding. */
static void judge_session(const struct judge *judge, const struct tcp_socket_list *sockets,
			  const struct tcp_socket *socket, struct ssh_port_list *ret)
{
	uint16_t port = socket->at.port;
	const char *name = owner_of(&judge->sockets, socket->inode);

	if (name && (port < EPHEMERAL_FIRST || listened_on(sockets, port)))
		add_port(judge->arena, ret,
			 (struct facts_ssh_port){
				 .port = port,
				 .why = arena_printf(judge->arena, "a session of %s is open there",
						     name),
			 });
}

static void judge_sockets(const struct judge *judge, const struct tcp_socket_list *sockets,
			  bool listeners, struct ssh_port_list *ret)
{
	for (size_t i = 0; i < sockets->n; i++) {
		const struct tcp_socket *socket = &sockets->items[i];

		if (socket->listens != listeners || socket->at.uid != 0 ||
		    ip_is_loopback(&socket->at.addr))
			continue;
		if (listeners)
			judge_listener(judge, socket, ret);
		else
			judge_session(judge, sockets, socket, ret);
	}
}

/* Of "CLIENT PORT SERVER PORT"; 0: we are not called from such a session. */
static uint16_t port_of_our_session(void)
{
	const char *session = getenv("SSH_CONNECTION");
	const char *last = session ? strrchr(session, ' ') : NULL;
	uint16_t port = 0;

	return last && parse_port(last + 1, &port) ? port : 0;
}

void ssh_ports_find(struct arena *arena, const struct tcp_socket_list *sockets, struct facts *facts)
{
	const struct facts_ssh_port unknown[] = {
		{ port_of_our_session(), true,
		  "you are logged in over it (SSH_CONNECTION, which the service does not see) and "
		  "no SSH server that is known listens there" },
		{ SSH_PORT, true, "root listens there with what is no SSH server that is known" },
	};
	struct judge judge = { .arena = arena };

	judge_init(&judge);
	judge_sockets(&judge, sockets, true, &facts->ssh_ports);
	judge_sockets(&judge, sockets, false, &facts->ssh_ports);
	for (size_t i = 0; i < ELEMENTS(unknown); i++)
		if (listened_on(sockets, unknown[i].port))
			add_port(arena, &facts->ssh_ports, unknown[i]);
	facts->ssh_unseen = judge.unseen;
}
