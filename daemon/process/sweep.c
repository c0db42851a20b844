/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/os/fd.h"

/* Pauses between rounds grow from 1 ms to this: two seconds in all. */
#define PAUSE_MSEC_MAX 50
#define ROUNDS         65

struct process {
	pid_t pid, parent, session;
	uid_t uid; /* real */
	char state;
	bool wanted;
};

struct processes {
	struct process *items;
	size_t n, size;
};

struct sweep {
	pid_t session;     /* 0: by user */
	uid_t uid;         /* of whom */
	char cgroup[1024]; /* "": our descendants */
};

static void processes_done(struct processes *list)
{
	free(list->items);
}

static int proc_read(pid_t pid, const char *name, char *buf, size_t size)
{
	_close_ int fd = -EBADF;
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* The control group by which the service manager knows a process: its own hierarchy where there
 * is one (cgroup v1, hybrid), else the only one. */
static int read_cgroup(pid_t pid, char *ret, size_t size)
{
	static const char *const keys[] = { ":name=systemd:", "0::" };
	char text[8192];
	int r;

	r = proc_read(pid, "cgroup", text, sizeof(text));
	if (r < 0)
		return r;
	for (unsigned i = 0; i < ELEMENTS(keys); i++) {
		const char *at = strstr(text, keys[i]);
		size_t len;

		if (!at)
			continue;
		at += strlen(keys[i]);
		len = strcspn(at, "\n");
		if (len >= size)
			return -ENAMETOOLONG;
		memcpy(ret, at, len);
		ret[len] = '\0';
		return 0;
	}
	return -ENODATA;
}

/* proc(5), stat: the name may hold anything, so what follows is found behind its last bracket. */
static int read_process(pid_t pid, struct process *ret)
{
	struct process process = { .pid = pid };
	char text[4096];
	const char *at;
	int r;

	r = proc_read(pid, "stat", text, sizeof(text));
	if (r < 0)
		return r;
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at, ") %c %d %*d %d", &process.state, &process.parent, &process.session) != 3)
		return -EBADMSG;
	r = proc_read(pid, "status", text, sizeof(text));
	if (r < 0)
		return r;
	at = strstr(text, "\nUid:");
	if (!at || sscanf(at, "\nUid: %u", &process.uid) != 1)
		return -EBADMSG;
	*ret = process;
	return 0;
}

static int processes_add(struct processes *list, const struct process *process)
{
	if (list->n == list->size) {
		size_t size = list->size ? list->size * 2 : 256;
		struct process *items = reallocarray(list->items, size, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->size = size;
	}
	list->items[list->n++] = *process;
	return 0;
}

static int list_processes(struct processes *list)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);
		struct process process;

		/* One that has ended meanwhile, or is hidden from us, is not ours to end. */
		if (pid > 0 && read_process((pid_t)pid, &process) == 0)
			r = processes_add(list, &process);
	}
	(void)closedir(dir);
	return r;
}

static bool is_in_cgroup(pid_t pid, const char *cgroup)
{
	size_t len = strlen(cgroup);
	char theirs[1024];

	return read_cgroup(pid, theirs, sizeof(theirs)) == 0 && !strncmp(theirs, cgroup, len) &&
	       (theirs[len] == '\0' || theirs[len] == '/');
}

static bool is_wanted(const struct sweep *sweep, const struct process *process)
{
	if (process->pid == getpid() || process->state == 'Z' || process->state == 'X')
		return false;
	if (sweep->session)
		return process->session == sweep->session;
	if (process->uid != sweep->uid)
		return false;
	return sweep->cgroup[0] == '\0' || is_in_cgroup(process->pid, sweep->cgroup);
}

static const struct process *find_process(const struct processes *list, pid_t pid)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].pid == pid)
			return &list->items[i];
	return NULL;
}

static bool is_descendant(const struct processes *list, const struct process *process)
{
	/* The list is not a snapshot; a walk that does not end has met a reused number. */
	for (size_t steps = 0; process && steps < 64; steps++) {
		if (process->parent == getpid())
			return true;
		process = find_process(list, process->parent);
	}
	return false;
}

static size_t mark_wanted(const struct sweep *sweep, struct processes *list)
{
	bool by_ancestry = !sweep->session && sweep->cgroup[0] == '\0';
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct process *process = &list->items[i];

		process->wanted =
			is_wanted(sweep, process) && (!by_ancestry || is_descendant(list, process));
		n += process->wanted;
	}
	return n;
}

/* Returns 0 also where it was not the one we mean any more. */
static int kill_process(const struct sweep *sweep, const struct process *process)
{
	_close_ int fd = pidfd_open(process->pid, 0);
	struct process again;

	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (read_process(process->pid, &again) < 0 || again.session != process->session ||
	    !is_wanted(sweep, &again))
		return 0;
	return pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH ? -errno : 0;
}

/* Orphans that we have inherited. Children of our own lead their sessions (spawn.c), and somebody
 * waits for them. */
static void reap_inherited(const struct processes *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct process *process = &list->items[i];
		siginfo_t si;

		if (process->parent == getpid() && process->session != process->pid &&
		    process->session != getsid(0))
			(void)waitid(P_PID, (id_t)process->pid, &si, WEXITED | WNOHANG);
	}
}

static int sweep_run(const struct sweep *sweep, struct error *err)
{
	size_t left = 0, n = 0;
	int failed = 0, r;

	for (int round = 0; round < ROUNDS; round++) {
		_cleanup_(processes_done) struct processes list = { 0 };

		r = list_processes(&list);
		if (r < 0)
			return error_sys(err, r, "list processes");
		if (sweep->session == 0)
			reap_inherited(&list);
		left = mark_wanted(sweep, &list);
		if (left == 0)
			return (int)n;
		if (round == 0)
			n = left;
		for (size_t i = 0; i < list.n; i++) {
			if (!list.items[i].wanted)
				continue;
			r = kill_process(sweep, &list.items[i]);
			if (r < 0)
				failed = r;
		}
		if (failed < 0)
			return error_sys(err, failed, "kill processes that were left over");
		(void)poll(NULL, 0, round < PAUSE_MSEC_MAX ? round + 1 : PAUSE_MSEC_MAX);
	}
	return error_set(err, -ETIMEDOUT, "%zu processes that were left over would not end", left);
}

/* "" unless the service manager started this process: only then is the group for us alone. */
static void own_cgroup(char *ret, size_t size)
{
	const char *started = getenv("SYSTEMD_EXEC_PID");
	char self[16];

	(void)snprintf(self, sizeof(self), "%ld", (long)getpid());
	if (!started || strcmp(started, self) != 0 || read_cgroup(getpid(), ret, size) < 0 ||
	    !strcmp(ret, "/"))
		ret[0] = '\0';
}

int sweep_session(pid_t sid, struct error *err)
{
	return sweep_run(&(struct sweep){ .session = sid }, err);
}

int sweep_uid(uid_t uid, struct error *err)
{
	struct sweep sweep = { .uid = uid };

	if (uid == 0)
		return error_set(err, -EINVAL, "processes of root are never swept");
	if (uid != getuid())
		own_cgroup(sweep.cgroup, sizeof(sweep.cgroup));
	return sweep_run(&sweep, err);
}

int sweep_prepare(struct error *err)
{
	char cgroup[1024];

	own_cgroup(cgroup, sizeof(cgroup));
	/* In a service orphans go to the service manager, which reaps them. */
	if (cgroup[0] == '\0' && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return error_sys(err, -errno, "inherit orphans");
	return 0;
}
