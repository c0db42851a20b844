/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/process/sweep.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/array.h"
#include "daemon/os/fd.h"
#include "daemon/process/procfs.h"

#define PAUSE_MSEC_MAX 50

/* Those that there are. */
struct processes {
	struct process *items;
	size_t n;
};

/* Which of them are meant. */
struct sweep {
	pid_t session; /* 0: any */
	bool whoever; /* the leader of the session is our child: they are ours whoever they run as */
	uid_t uid;
	char cgroup[1024]; /* "": our descendants */
};

/* The control group by which the service manager knows a process: its own hierarchy where there
 * is one (cgroup v1, hybrid), else the only one. */
static int read_cgroup(pid_t pid, char *ret, size_t size)
{
	static const char *const keys[] = { ":name=systemd:", "0::" };
	char text[8192];
	int r = process_text(pid, "cgroup", text, sizeof(text));

	if (r < 0)
		return r;
	for (unsigned i = 0; i < ELEMENTS(keys); i++) {
		const char *at = strstr(text, keys[i]);

		if (!at)
			continue;
		at += strlen(keys[i]);
		r = snprintf(ret, size, "%.*s", (int)strcspn(at, "\n"), at);
		return r < (int)size ? 0 : -ENAMETOOLONG;
	}
	return -ENODATA;
}

static int list_processes(struct arena *arena, struct processes *list)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		long pid = strtol(entry->d_name, NULL, 10);
		struct process process;

		/* One that has ended meanwhile, or is hidden from us, is not ours to end. */
		if (pid > 0 && process_read((pid_t)pid, &process) == 0)
			array_push(arena, list, process);
	}
	(void)closedir(dir);
	return arena->failed ? -ENOMEM : 0;
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
	if (process->pid == getpid() || process->ended)
		return false;
	if (sweep->session && process->session != sweep->session)
		return false;
	return sweep->whoever ||
	       (process->uid == sweep->uid &&
		(sweep->cgroup[0] == '\0' || is_in_cgroup(process->pid, sweep->cgroup)));
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

/* Returns 0 also where it was not the one we mean any more. */
static int kill_process(const struct sweep *sweep, const struct process *process)
{
	_close_ int fd = pidfd_open(process->pid, 0);
	struct process again;

	if (fd < 0)
		return errno == ESRCH ? 0 : -errno;
	if (process_read(process->pid, &again) < 0 || again.session != process->session ||
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

static int do_round(const struct sweep *sweep, struct error *err)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct processes list = { 0 };
	bool by_ancestry = !sweep->whoever && sweep->cgroup[0] == '\0';
	int n = 0, failed = 0, r = list_processes(&arena, &list);

	if (r < 0)
		return error_sys(err, r, "list processes");
	if (!sweep->whoever)
		reap_inherited(&list);
	for (size_t i = 0; i < list.n; i++) {
		const struct process *process = &list.items[i];

		if (!is_wanted(sweep, process) || (by_ancestry && !is_descendant(&list, process)))
			continue;
		n++;
		r = kill_process(sweep, process);
		if (r < 0)
			failed = r;
	}
	return failed < 0 ? error_sys(err, failed, "kill processes that were left over") : n;
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

uint64_t sweep_pause_usec(int round)
{
	return (uint64_t)(round < PAUSE_MSEC_MAX ? round + 1 : PAUSE_MSEC_MAX) * 1000;
}

int sweep_session(pid_t sid, struct error *err)
{
	const struct sweep sweep = { .session = sid, .whoever = true };
	int left = 0;

	for (int round = 0; round < SWEEP_ROUNDS_MAX; round++) {
		left = do_round(&sweep, err);
		if (left <= 0)
			return left;
		(void)poll(NULL, 0, (int)(sweep_pause_usec(round) / 1000));
	}
	return error_set(err, -ETIMEDOUT, "%d processes that were left over would not end", left);
}

int sweep_round(uid_t uid, pid_t session, struct error *err)
{
	struct sweep sweep = { .uid = uid, .session = session };

	if (uid == 0)
		return error_set(err, -EINVAL, "processes of root are never swept");
	if (uid != getuid())
		own_cgroup(sweep.cgroup, sizeof(sweep.cgroup));
	return do_round(&sweep, err);
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
