/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the daemon watches: rounds of probes, Envoy's life, the children's lives. Everything here
 * takes an event over into the situation and wakes the loop.
 */

#include <stdio.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"

#define WATCH_USEC    ((uint64_t)2 * 1000 * 1000) /* between probes once the proxy serves */
#define PROBE_USEC    ((uint64_t)1000 * 1000)     /* one round of probes */
#define NOFILE_WANTED ((uint64_t)1048576) /* Envoy needs one or two descriptors per connection */

/* Envoy is a grandchild: its pidfd tells its death at once, kuma-dp's own exit up to seconds later. */
void daemon_envoy_ended(struct daemon *d)
{
	if (situation_ended(situation_of(d), true, daemon_hold_usec(d), d->ops->now(d)))
		daemon_fail(d, NULL, "Envoy (process %d) ended", (int)d->probe.envoy);
	d->ops->wake(d);
}

static void probe_later(struct daemon *d)
{
	uint64_t usec = (uint64_t)d->current->plan.readiness_interval_nsec / 1000;

	if (situation_of(d)->served && d->probe.misses == 0)
		usec = WATCH_USEC;
	daemon_arm(d, TIMER_PROBE, d->ops->now(d) + usec);
}

static void proxy_serves(struct daemon *d)
{
	pid_t pid = d->carry.child[CHILD_KUMA_DP].pid;
	char field[40], *fields[] = { (char[]){ "TPROXYD_PROCESS=kuma-dp" }, field, NULL };

	(void)snprintf(field, sizeof(field), "TPROXYD_PID=%d", (int)pid);
	log_event(LOG_LEVEL_INFO, MSG_PROCESS_READY, (const char *const *)fields,
		  "kuma-dp (process %d) serves", (int)pid);
}

/* What a round that counts has found, for the children's own states. */
static void tell_child(struct daemon *d, enum child_id id, bool serves)
{
	if (id < d->n_children)
		proc_event(proc_of(d, id), serves ? PROC_EV_READY : PROC_EV_LOST);
}

static void take_over(struct daemon *d, struct sighting seen)
{
	struct situation *s = situation_of(d);
	enum proxy_news news = situation_probed(s, seen, daemon_hold_usec(d), d->ops->now(d));

	if (news == PROXY_SERVES)
		proxy_serves(d);
	if (news == PROXY_LOST)
		log_warning("The proxy does not serve any more: %s", d->probe.last.missing);
	if (!s->served)
		return;
	tell_child(d, CHILD_KUMA_DP, s->proxy_serving);
	tell_child(d, CHILD_CORE_DNS, s->dns_serving);
}

void daemon_probed(const struct probe_result *result, void *userdata)
{
	struct daemon *d = userdata;
	const struct situation *s = situation_of(d);
	struct sighting seen = { result->admin && result->listeners, result->dns };

	d->probe.last = *result;
	if (s->wish != WISH_RUN)
		return;
	if (result->envoy > 0 && result->envoy != d->probe.envoy &&
	    d->ops->watch_envoy(d, result->envoy) >= 0)
		d->probe.envoy = result->envoy;
	/* A round that began before DNS was to be redirected did not ask about it. */
	if (s->dns_redirected && !d->probe.dns_asked)
		d->probe.last.dns = seen.dns = false;
	if (probe_verdict(s, seen, &d->probe.misses))
		take_over(d, seen);
	if (!d->carry.ready)
		notify_extend(EXTEND_USEC);
	probe_later(d);
	d->ops->wake(d);
}

void daemon_probe(struct daemon *d)
{
	const struct plan *plan = &d->current->plan;
	bool dns = situation_of(d)->dns_redirected;
	struct probe_target target = {
		.admin_socket = WORK_DIR "/kuma-envoy-admin.sock",
		.admin_port = ENVOY_ADMIN_PORT,
		.uid = plan->user.uid,
		.gid = plan->user.gid,
		.inbound_port = plan->inbound.enabled ? plan->inbound.port : 0,
		.outbound_port = plan->outbound.enabled ? plan->outbound.port : 0,
		.dns_port = dns ? plan->dns_port : 0,
		.timeout_usec = PROBE_USEC,
	};
	struct error err = { 0 };

	if (situation_of(d)->wish != WISH_RUN)
		return;
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		target.family[f] = plan->family[f].enabled;
		target.dns_family[f] = plan->family[f].dns;
	}
	if (dns && (plan->children.dns_mode == CORE_DNS_KUMA_DP ||
		    plan->children.dns_mode == CORE_DNS_TPROXYD))
		target.envoy_dns_port = plan->children.envoy_dns_port;
	d->probe.dns_asked = dns;
	if (d->ops->probe(d, &target, &err) < 0) {
		log_error(&err, "Cannot ask the proxy whether it serves");
		probe_later(d);
	}
}

static enum child_id id_of(const struct daemon *d, const struct proc *proc)
{
	return proc == &d->child[CHILD_KUMA_DP].proc ? CHILD_KUMA_DP : CHILD_CORE_DNS;
}

/* Writes the child's files and says what to execute. */
static int prepare(struct proc *proc, struct exec_spec *ret, struct error *err, void *userdata)
{
	struct daemon *d = userdata;
	enum child_id id = id_of(d, proc);
	const struct facts_user *user = &d->current->plan.user;
	const struct command *command = &d->current->command[id];
	const struct relay *relay = d->child[id].relay;
	int output = relay ? relay_output(relay) : STDERR_FILENO;

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
	command_digest(command, proc->process->digest);
	return d->ops->files(d, id, err);
}

static void on_ended(struct proc *proc, const siginfo_t *si, void *userdata)
{
	struct daemon *d = userdata;
	_strbuf_ struct strbuf quotes = { 0 };
	char field[48], pid[48], status[48];
	const char *const fields[] = { field, pid, status, NULL };
	bool fatal = situation_ended(situation_of(d), id_of(d, proc) == CHILD_KUMA_DP,
				     daemon_hold_usec(d), d->ops->now(d));

	(void)snprintf(field, sizeof(field), "TPROXYD_PROCESS=%s", proc->name);
	(void)snprintf(pid, sizeof(pid), "TPROXYD_PID=%d", (int)si->si_pid);
	(void)snprintf(status, sizeof(status), "TPROXYD_EXIT_STATUS=%d", si->si_status);
	log_event(fatal ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, MSG_PROCESS_EXITED, fields, "%s %s",
		  proc->name, proc->last_exit_text);
	if (!fatal)
		return;
	d->ops->quote(d, &quotes);
	daemon_fail(d, NULL, "%s %s%s", proc->name, proc->last_exit_text, strbuf_text(&quotes));
}

static void on_changed(_unused_ struct proc *proc, void *userdata)
{
	struct daemon *d = userdata;

	d->ops->wake(d);
}

static void on_failed(_unused_ struct proc *proc, const struct error *err, void *userdata)
{
	struct daemon *d = userdata;

	/* While stopping nothing else tells of it. */
	if (situation_of(d)->wish == WISH_STOP)
		log_error(err, "Cannot end a child");
	daemon_fail(d, NULL, "%s", err->text);
	d->ops->wake(d);
}

const struct proc_owner daemon_owner = { prepare, on_ended, on_changed, on_failed };
