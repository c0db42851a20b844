/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The children's lives, and Envoy's: how one is started, what its end means, and what is done about
 * one that has had its time. Until the service is ready any of that ends it; from then on nothing
 * but a request does.
 */

#include <stdio.h>
#include <string.h>

#include "common/base/utf8.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

#define STOPPING_USEC 1000                /* until the step has seen to it */
#define NOFILE_WANTED ((uint64_t)1048576) /* Envoy needs one or two descriptors per connection */

static uint64_t readiness_usec(const struct daemon *d)
{
	return plan_readiness_usec(&latest_of(d)->plan);
}

static enum child_id id_of(const struct daemon *d, const struct proc *proc)
{
	return proc == &d->child[CHILD_KUMA_DP].proc ? CHILD_KUMA_DP : CHILD_CORE_DNS;
}

static enum part part_of(enum child_id id)
{
	return id == CHILD_KUMA_DP ? PART_KUMA_DP : PART_CORE_DNS;
}

/* Envoy is a grandchild: its pidfd tells its death at once, kuma-dp's own exit up to seconds later. */
void daemon_envoy_ended(struct daemon *d)
{
	/* Where kuma-dp was asked to end, so was Envoy. */
	bool run = situation_of(d)->wish == WISH_RUN &&
		   proc_of(d, CHILD_KUMA_DP)->state != PROC_RESTARTING;
	int pid = (int)d->probe.envoy;

	d->probe.envoy = 0;
	daemon_probe_anew(d);
	/* That of a former kuma-dp says nothing of the one that lives. */
	if (pid == 0 || !child_lives(d, CHILD_KUMA_DP))
		return;
	daemon_disconnected(d);
	situation_ended(situation_of(d), PART_ENVOY, daemon_hold_usec(d), d->ops->now(d));
	if (run && d->carry.ready)
		log_warning("Envoy (process %d) ended", pid);
	else if (run && proc_of(d, CHILD_KUMA_DP)->state != PROC_ENDING)
		daemon_fail(d, NULL, "Envoy (process %d) ended", pid);
	d->ops->wake(d);
}

int daemon_sweep(struct daemon *d, pid_t session, int *rounds)
{
	struct error err = { 0 };
	int left = d->ops->sweep(d->current->plan.user.uid, session, &err);

	if (left > 0 && *rounds < SWEEP_ROUNDS_MAX)
		return (int)sweep_pause_usec((*rounds)++);
	if (left > 0)
		log_error(NULL, "%d processes that the children left would not end", left);
	if (left < 0)
		log_error(&err, "Cannot sweep what the children left");
	*rounds = 0;
	return 0;
}

/* Writes the child's files and says what to execute, when nothing of the former one is left. */
static int prepare(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata)
{
	struct daemon *d = userdata;
	enum child_id id = id_of(d, proc);
	const struct facts_user *user = &d->current->plan.user;
	const struct generation *generation = latest_of(d);
	const struct command *command = &generation->command[id];
	struct relay *relay = d->child[id].relay;
	int output, pause;

	/* After a gap it may be the first that was due: what is set now is not to be made longer by it. */
	if (proc->due_usec)
		daemon_was_due(d, proc->due_usec);
	/* The turn's step settles it. */
	if (situation_of(d)->wish == WISH_STOP)
		return STOPPING_USEC;
	pause = proc->last_pid ? daemon_sweep(d, proc->last_pid, &d->child[id].sweeps) : 0;
	if (pause > 0)
		return pause;
	if (id == CHILD_KUMA_DP) {
		d->probe.envoy = 0;
		d->probe.steps = 0;
	}
	if (relay && relay_renew(relay, err) < 0)
		return err->code;
	output = relay ? relay_output(relay) : STDERR_FILENO;
	*ret = (struct exec_spec){
		.name = command->name,
		.path = command->path,
		.argv = command->argv.items,
		.environ = command->environ.items,
		.cwd = WORK_DIR,
		.stdin_fd = -1,
		.stdout_fd = output,
		.stderr_fd = output,
		.uid = user->uid,
		.gid = user->gid,
		.groups = user->groups,
		.n_groups = user->n_groups,
		.umask = 0077,
		.nofile = NOFILE_WANTED,
	};
	memcpy(proc->process->digest, generation->digest[id], sizeof(proc->process->digest));
	if (id == CHILD_KUMA_DP)
		proc->drain_usec = (uint64_t)generation->plan.children.drain_time_nsec / 1000;
	return d->ops->files(d, id, err);
}

/* What ended without being asked to. */
static void tell_end(struct daemon *d, const struct proc *proc, const siginfo_t *si)
{
	_strbuf_ struct strbuf quotes = { 0 };
	char field[48], pid[48], status[48];
	const char *const fields[] = { field, pid, status, NULL };
	bool asked = situation_of(d)->wish == WISH_STOP || proc->state == PROC_RESTARTING;

	(void)snprintf(field, sizeof(field), "TPROXYD_PROCESS=%s", proc->name);
	(void)snprintf(pid, sizeof(pid), "TPROXYD_PID=%d", (int)si->si_pid);
	(void)snprintf(status, sizeof(status), "TPROXYD_EXIT_STATUS=%d", si->si_status);
	if (!asked)
		d->ops->quote(d, &quotes);
	log_event(asked ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, MSG_PROCESS_EXITED, fields, "%s %s%s",
		  proc->name, proc->last_exit_text, strbuf_text(&quotes));
	if (!asked && !d->carry.ready && proc->state != PROC_ENDING)
		daemon_fail(d, NULL, "%s %s%s", proc->name, proc->last_exit_text,
			    strbuf_text(&quotes));
}

static void on_ended(struct proc *proc, const siginfo_t *si, void *userdata)
{
	struct daemon *d = userdata;

	daemon_probe_anew(d);
	if (id_of(d, proc) == CHILD_KUMA_DP)
		daemon_disconnected(d);
	situation_ended(situation_of(d), part_of(id_of(d, proc)), daemon_hold_usec(d),
			d->ops->now(d));
	tell_end(d, proc, si);
}

static void on_waits(struct proc *proc, uint64_t pause_usec, void *userdata)
{
	struct daemon *d = userdata;
	struct child *child = &d->child[id_of(d, proc)];
	char field[48], starts[48], pause[48];
	const char *const fields[] = { field, starts, pause, NULL };

	if (situation_of(d)->wish == WISH_STOP)
		return;
	(void)snprintf(field, sizeof(field), "TPROXYD_PROCESS=%s", proc->name);
	(void)snprintf(starts, sizeof(starts), "TPROXYD_STARTS=%u", proc->process->starts);
	(void)snprintf(pause, sizeof(pause), "TPROXYD_PAUSE_USEC=%llu",
		       (unsigned long long)pause_usec);
	log_event(LOG_LEVEL_NOTICE, MSG_PROCESS_RESTARTS, fields,
		  "%s is started again in %.2f s (start %u): it %s", proc->name,
		  (double)pause_usec / 1000000, proc->process->starts + 1,
		  child->why[0] ? child->why : proc->last_exit_text);
	child->why[0] = '\0';
}

static void on_changed(struct proc *proc, void *userdata)
{
	struct daemon *d = userdata;

	/* The first ones have the deadline of the whole start. */
	if (proc->state == PROC_STARTING && (d->carry.ready || proc->process->starts > 1)) {
		situation_started(situation_of(d), part_of(id_of(d, proc)), readiness_usec(d),
				  d->ops->now(d));
		daemon_probe_anew(d);
		if (d->armed[TIMER_PROBE])
			daemon_arm(d, TIMER_PROBE, d->ops->now(d));
	}
	d->ops->wake(d);
}

static void on_failed(struct proc *proc, const struct error *err, void *userdata)
{
	struct daemon *d = userdata;
	struct child *child = &d->child[id_of(d, proc)];

	/* A start that fails is told with the next one. */
	if (situation_of(d)->wish == WISH_RUN && !d->carry.ready)
		daemon_fail(d, NULL, "%s", err->text);
	else if (proc->state == PROC_STARTING)
		utf8_print(child->why, sizeof(child->why), "could not be started: %s", err->text);
	else
		log_error(err, "Cannot end a child");
	d->ops->wake(d);
}

const struct proc_owner daemon_owner = { prepare, on_waits, on_ended, on_changed, on_failed };

static bool is_refused(const struct daemon *d, enum child_id id)
{
	return id == CHILD_KUMA_DP && refusal_start_is_timed(&d->control_plane.refusal);
}

/* Why kuma-dp, or our coredns, is not waited for any longer. */
static void say_why(const struct daemon *d, enum child_id id, char *ret, size_t size)
{
	long long sec = (long long)(readiness_usec(d) / 1000000);
	const char *missing = d->probe.last.missing;

	if (is_refused(d, id))
		utf8_print(ret, size, "is refused by the control plane for about 10 s");
	else if (d->child[id].proc.state == PROC_STARTING)
		utf8_print(ret, size, "did not serve within %lld s; missing: %s", sec, missing);
	else if (id == CHILD_CORE_DNS || d->carry.situation.proxy_serving)
		utf8_print(ret, size, "does not answer DNS any more; missing: %s", missing);
	else
		utf8_print(ret, size, "does not serve any more; missing: %s", missing);
}

static void give_up(struct daemon *d, enum child_id id)
{
	struct child *child = &d->child[id];
	_strbuf_ struct strbuf quotes = { 0 };

	situation_given_up(situation_of(d), part_of(id));
	/* It ends already, and is killed in time. */
	if (child->proc.state == PROC_RESTARTING)
		return;
	say_why(d, id, child->why, sizeof(child->why));
	if (is_refused(d, id)) {
		child->proc.start_usec = d->control_plane.refusal.start_usec;
		refusal_restarts(&d->control_plane.refusal);
	}
	d->ops->quote(d, &quotes);
	log_warning("Ending %s (process %d): it %s%s", child->proc.name,
		    (int)d->carry.child[id].pid, child->why, strbuf_text(&quotes));
	proc_event(&child->proc, PROC_EV_FAIL);
}

static void fail_start(struct daemon *d)
{
	const char *missing = d->probe.last.missing;
	_strbuf_ struct strbuf quotes = { 0 };

	d->ops->quote(d, &quotes);
	daemon_fail(d, MSG_START_TIMED_OUT, "The proxy did not serve within %lld s; missing: %s%s",
		    (long long)(readiness_usec(d) / 1000000), missing[0] ? missing : "everything",
		    strbuf_text(&quotes));
}

void daemon_give_up_overdue(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	if (proxy_overdue(s) && !d->carry.ready && !is_refused(d, CHILD_KUMA_DP))
		fail_start(d);
	else if (proxy_overdue(s))
		give_up(d, CHILD_KUMA_DP);
	if (core_dns_overdue(s))
		give_up(d, CHILD_CORE_DNS);
}
