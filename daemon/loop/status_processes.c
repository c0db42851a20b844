/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/loop/state.h"
#include "daemon/loop/status.h"
#include "daemon/os/as_user.h"
#include "daemon/process/procfs.h"

#define GRANDCHILDREN_MAX 32
#define NAME_MAX_LEN      15 /* of a process, as the kernel keeps it */

/* A process that kuma-dp has started. */
struct grandchild {
	pid_t pid; /* 0: none */
	const char *path;
	const char *name; /* where the path is not known */
};

json_t *status_age(struct daemon *d, uint64_t usec)
{
	return usec ? json_integer((json_int_t)((d->ops->now(d) - usec) / 1000000)) : json_null();
}

static json_t *memory_of(pid_t pid)
{
	uint64_t bytes;

	return pid > 0 && process_memory(pid, &bytes) == 0 ? json_integer((json_int_t)bytes)
							   : json_null();
}

/* Null where it has not been started, or is gone. */
static json_t *uptime_of(pid_t pid)
{
	const uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec now;
	struct process process;

	if (pid <= 0 || process_read(pid, &process) < 0 || clock_gettime(CLOCK_BOOTTIME, &now) < 0)
		return json_null();
	return json_integer((json_int_t)((uint64_t)now.tv_sec - process.start_ticks / hz));
}

/* Whether its program was replaced or deleted since; null where that cannot be told. Only its own user
 * may ask. */
static json_t *program_replaced(const struct daemon *d, pid_t pid)
{
	const struct facts_user *user = &d->current->plan.user;
	bool deleted = false;
	int r = pid > 0 ? as_user(user->uid, user->gid, NULL) : -ESRCH;

	if (r == 0)
		r = process_program_deleted(pid, &deleted);
	as_ourselves();
	return r < 0 ? json_null() : json_boolean(deleted);
}

static json_int_t restarts_of(const struct daemon *d, enum child_id id)
{
	unsigned starts = d->carry.child[id].starts;

	return starts > 0 ? (json_int_t)starts - 1 : 0;
}

static json_t *last_exit_of(struct daemon *d, const struct proc *proc)
{
	if (!proc->last_exit_text[0])
		return json_null();
	return json_pack("{s:o,s:o}", "text", json_text(proc->last_exit_text), "seconds-ago",
			 status_age(d, proc->last_exit_usec));
}

/* When it is started again; null where it need not be. */
static json_t *due(struct daemon *d, const struct proc *proc)
{
	if (proc->state != PROC_BACKOFF)
		return json_null();
	return json_integer((json_int_t)daemon_seconds_until(d, proc->due_usec));
}

static json_t *child(struct daemon *d, enum child_id id)
{
	const struct proc *proc = proc_of(d, id);
	const struct carried_process *process = &d->carry.child[id];
	uint64_t started_usec = process->pid ? process->started_usec : 0;

	return json_pack("{s:s,s:i,s:o,s:o,s:o,s:o,s:I,s:o}", "state", proc_state_name(proc->state),
			 "pid", (int)process->pid, "program-replaced",
			 program_replaced(d, process->pid), "memory-bytes", memory_of(process->pid),
			 "uptime-seconds", status_age(d, started_usec), "due-seconds", due(d, proc),
			 "restarts", restarts_of(d, id), "last-exit", last_exit_of(d, proc));
}

/* It starts and ends with kuma-dp, which alone knows how it ended. */
static json_t *grandchild(struct daemon *d, pid_t pid)
{
	json_t *uptime = uptime_of(pid);
	bool there = json_is_integer(uptime);

	return json_pack("{s:s,s:i,s:o,s:o,s:o,s:n,s:I,s:n}", "state", there ? "running" : "down",
			 "pid", there ? (int)pid : 0, "program-replaced",
			 program_replaced(d, there ? pid : 0), "memory-bytes",
			 memory_of(there ? pid : 0), "uptime-seconds", uptime, "due-seconds",
			 "restarts", restarts_of(d, CHILD_KUMA_DP), "last-exit");
}

static bool has_name(pid_t pid, const struct grandchild *wanted)
{
	const char *slash = wanted->path ? strrchr(wanted->path, '/') : NULL;
	const char *name = slash ? slash + 1 : wanted->name;
	size_t len = strnlen(name, NAME_MAX_LEN);
	char text[32];

	return process_text(pid, "comm", text, sizeof(text)) == 0 &&
	       strncmp(text, name, len) == 0 && text[len] == '\n';
}

static void find_grandchildren(pid_t parent, struct grandchild *wanted, size_t n)
{
	pid_t found[GRANDCHILDREN_MAX];
	int n_found = parent > 0 ? process_children(parent, found, ELEMENTS(found)) : 0;

	for (int i = 0; i < n_found; i++)
		for (size_t k = 0; k < n; k++)
			if (wanted[k].pid == 0 && has_name(found[i], &wanted[k]))
				wanted[k].pid = found[i];
}

int status_add_processes(json_t *answer, struct daemon *d)
{
	const struct plan_children *children = &d->current->plan.children;
	struct grandchild wanted[] = {
		{ d->probe.envoy, children->envoy, "envoy" },
		{ 0, children->core_dns, "coredns" },
	};
	json_t *all = json_object();
	int r = json_object_set_new(answer, "processes", all);

	for (unsigned i = 0; i < d->n_children && r == 0; i++)
		r = json_object_set_new(all, d->child[i].proc.name, child(d, (enum child_id)i));
	find_grandchildren(d->carry.child[CHILD_KUMA_DP].pid, wanted, ELEMENTS(wanted));
	if (r == 0)
		r = json_object_set_new(all, "envoy", grandchild(d, wanted[0].pid));
	if (r == 0 && children->dns_mode == CORE_DNS_KUMA_DP)
		r = json_object_set_new(all, "coredns", grandchild(d, wanted[1].pid));
	if (r == 0)
		r = json_object_set_new(answer, "memory-bytes", memory_of(getpid()));
	return r;
}
