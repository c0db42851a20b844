/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the daemon watches: rounds of probes, Envoy's life, the children's exits. Everything here
 * translates an event into the situation and lets daemon_update() decide.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "daemon/loop/daemon.h"
#include "daemon/os/fd.h"
#include "daemon/operator/journal.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"
#include "daemon/process/workdir.h"

#define WATCH_USEC    ((uint64_t)2 * 1000 * 1000)  /* between probes once the proxy serves */
#define PROBE_USEC    ((uint64_t)1000 * 1000)      /* one round of probes */
#define EXTEND_USEC   ((uint64_t)15 * 1000 * 1000) /* asked of systemd while starting */
#define NOFILE_WANTED ((uint64_t)1048576) /* Envoy needs one or two descriptors per connection */
#define MISSES_MAX    2                   /* failed rounds in a row that count as down */

static int on_envoy_exit(sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
			 void *userdata)
{
	struct daemon *d = userdata;

	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	d->situation.proxy_serving = false;
	if (d->situation.wish == WISH_RUN)
		daemon_fail(d, NULL, "Envoy (process %d) ended", (int)d->envoy);
	daemon_update(d);
	return 0;
}

/* Envoy is a grandchild: its pidfd tells its death at once, kuma-dp's own
 * exit up to seconds later. */
static void watch_envoy(struct daemon *d, pid_t pid)
{
	_close_ int fd = -EBADF;

	if (pid <= 0 || pid == d->envoy)
		return;
	d->envoy_exit = sd_event_source_disable_unref(d->envoy_exit);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 || sd_event_add_io(d->event, &d->envoy_exit, fd, EPOLLIN, on_envoy_exit, d) < 0)
		return;
	if (sd_event_source_set_io_fd_own(d->envoy_exit, 1) >= 0)
		(void)take_fd(&fd);
	(void)sd_event_source_set_priority(d->envoy_exit, PRIORITY_CHILD);
	d->envoy = pid;
}

static int on_probe_timer(sd_event_source *source, uint64_t usec, void *userdata);

static void probe_later(struct daemon *d)
{
	uint64_t usec = (uint64_t)d->generation->plan.readiness_interval_nsec / 1000;

	if (d->situation.served && d->misses == 0)
		usec = WATCH_USEC;
	d->probe_timer = sd_event_source_disable_unref(d->probe_timer);
	(void)sd_event_add_time_relative(d->event, &d->probe_timer, CLOCK_MONOTONIC, usec, 1000,
					 on_probe_timer, d);
}

static void proxy_is(struct daemon *d, bool serving)
{
	struct situation *s = &d->situation;
	const struct plan *plan = &d->generation->plan;

	if (serving == s->proxy_serving)
		return;
	s->proxy_serving = serving;
	if (serving) {
		char pid[40], *fields[] = { (char[]){ "TPROXYD_PROCESS=kuma-dp" }, pid, NULL };

		(void)snprintf(pid, sizeof(pid), "TPROXYD_PID=%d",
			       (int)d->child[CHILD_KUMA_DP].pid);
		log_event(LOG_LEVEL_INFO, MSG_PROCESS_READY, (const char *const *)fields,
			  "kuma-dp (process %d) serves", (int)d->child[CHILD_KUMA_DP].pid);
		for (size_t i = 0; i < d->n_children; i++)
			proc_ready(&d->child[i]);
		return;
	}
	s->hold_until_usec = plan->hold_nsec == DURATION_INFINITY
				     ? USEC_NEVER
				     : daemon_now(d) + (uint64_t)plan->hold_nsec / 1000;
	if (s->wish == WISH_RUN)
		log_warning("The proxy does not serve any more: %s", d->probed.missing);
}

static void on_probed(const struct probe_result *result, void *userdata)
{
	struct daemon *d = userdata;
	struct situation *s = &d->situation;
	bool serving = result->admin && result->listeners, dns;

	d->probed = *result;
	if (s->wish != WISH_RUN)
		return;
	watch_envoy(d, result->envoy);
	/* A round that began before DNS was to be redirected did not ask about it. */
	if (s->dns_redirected && !d->dns_asked)
		d->probed.dns = false;
	dns = d->probed.dns;
	d->misses = serving && dns ? 0 : d->misses + 1;
	/* One round without an answer may be a hiccup; what was never there
	 * needs no second look. */
	if (!s->served || d->misses == 0 || d->misses >= MISSES_MAX) {
		/* Before the first service both count together: 5.1 must be true in full. */
		s->dns_serving = dns;
		if (s->served || (serving && dns))
			proxy_is(d, serving);
		if (serving && dns)
			s->served = true;
	}
	if (!d->ready)
		notify_extend(EXTEND_USEC);
	probe_later(d);
	daemon_update(d);
}

void daemon_probe(struct daemon *d)
{
	const struct plan *plan = &d->generation->plan;
	struct probe_target target = {
		.admin_socket = WORK_DIR "/kuma-envoy-admin.sock",
		.admin_port = ENVOY_ADMIN_PORT,
		.uid = plan->user.uid,
		.gid = plan->user.gid,
		.inbound_port = plan->inbound.enabled ? plan->inbound.port : 0,
		.outbound_port = plan->outbound.enabled ? plan->outbound.port : 0,
		.dns_port = d->situation.dns_redirected ? plan->dns_port : 0,
	};
	struct error err = { 0 };

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		target.family[f] = plan->family[f].enabled;
		target.dns_family[f] = plan->family[f].dns;
	}
	if (plan->children.dns_mode == CORE_DNS_KUMA_DP ||
	    plan->children.dns_mode == CORE_DNS_TPROXYD)
		target.envoy_dns_port =
			d->situation.dns_redirected ? plan->children.envoy_dns_port : 0;
	d->dns_asked = d->situation.dns_redirected;
	if (probe_start(d->probe, &target, PROBE_USEC, on_probed, d, &err) < 0) {
		log_error(&err, "Cannot ask the proxy whether it serves");
		probe_later(d);
	}
}

static int on_probe_timer(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;

	if (d->situation.wish == WISH_RUN)
		daemon_probe(d);
	return 0;
}

/* Writes the child's files and says what to execute. */
static int prepare(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata)
{
	struct daemon *d = userdata;
	const struct plan *plan = &d->generation->plan;
	enum child child = proc == &d->child[CHILD_KUMA_DP] ? CHILD_KUMA_DP : CHILD_CORE_DNS;
	const struct command *command =
		child == CHILD_KUMA_DP ? &d->base->kuma_dp : &d->base->core_dns;

	*ret = (struct exec_spec){
		.name = command->name,
		.path = command->path,
		.argv = command->argv,
		.environ = command->environ,
		.cwd = WORK_DIR,
		.stdin_fd = -1,
		.stdout_fd = d->output[child],
		.stderr_fd = d->output[child],
		.uid = plan->user.uid,
		.gid = plan->user.gid,
		.groups = plan->user.groups,
		.n_groups = plan->user.n_groups,
		.umask = 0077,
		.nofile = NOFILE_WANTED,
	};
	return workdir_write(command, WORK_DIR, plan->user.uid, plan->user.gid, err);
}

/* Ended without having been asked. */
static void child_died(struct daemon *d, const struct proc *proc)
{
	_strbuf_ struct strbuf quotes = { 0 };

	journal_quote_children(d->started_realtime_usec, &quotes);
	daemon_fail(d, NULL, "%s %s%s", proc->name, proc->last_exit_text, strbuf_text(&quotes));
}

static void on_changed(struct proc *proc, void *userdata)
{
	struct daemon *d = userdata;
	char field[48], pid[48], status[48];
	const char *const fields[] = { field, pid, status, NULL };

	if (proc->pid == 0 && proc->last_exit.si_pid != 0 && !d->exit_said[proc - d->child]) {
		d->exit_said[proc - d->child] = true;
		(void)snprintf(field, sizeof(field), "TPROXYD_PROCESS=%s", proc->name);
		(void)snprintf(pid, sizeof(pid), "TPROXYD_PID=%d", (int)proc->last_exit.si_pid);
		(void)snprintf(status, sizeof(status), "TPROXYD_EXIT_STATUS=%d",
			       proc->last_exit.si_status);
		log_event(d->situation.wish == WISH_RUN ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
			  MSG_PROCESS_EXITED, fields, "%s %s", proc->name, proc->last_exit_text);
		if (proc == &d->child[CHILD_KUMA_DP])
			d->situation.proxy_serving = false;
		if (d->situation.wish == WISH_RUN)
			child_died(d, proc);
	}
	/* Children are not started again yet: systemd starts everything again. */
	if (proc->state == PROC_BACKOFF)
		proc_stop(proc);
	else
		daemon_update(d);
}

static void on_failed(_unused_ struct proc *proc, const struct error *err, void *userdata)
{
	struct daemon *d = userdata;

	/* While stopping nothing else tells of it. */
	if (d->situation.wish == WISH_STOP)
		log_error(err, "Cannot end a child");
	daemon_fail(d, NULL, "%s", err->text);
}

const struct proc_owner daemon_owner = { prepare, on_changed, on_failed };
