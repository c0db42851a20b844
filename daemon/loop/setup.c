/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From nothing to a running loop, and back from wherever we got to. */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/loop/daemon.h"
#include "daemon/loop/reexec.h"
#include "daemon/loop/state.h"
#include "daemon/loop/stored.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/operator/log.h"
#include "daemon/operator/notify.h"
#include "daemon/os/fd.h"
#include "daemon/os/retreat.h"
#include "daemon/process/workdir.h"

#define LAST_TRY_USEC ((uint64_t)5 * 1000 * 1000) /* for rules that others keep busy */

static int on_step(_unused_ sd_event_source *source, void *userdata)
{
	daemon_update(userdata);
	return 0;
}

static int on_signal(_unused_ sd_event_source *source, const struct signalfd_siginfo *si,
		     void *userdata)
{
	json_t *answer = NULL;

	if (si->ssi_signo != SIGHUP)
		daemon_stop(userdata);
	else if (!daemon_reload(userdata, RELOAD_SIGNAL, &answer))
		json_decref(answer);
	return 0;
}

static int loop_up(struct daemon *d, struct error *err)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int r = sd_event_default(&d->event);

	if (r >= 0)
		r = sd_event_add_defer(d->event, &d->step, on_step, d);
	if (r >= 0)
		r = sd_event_source_set_priority(d->step, PRIORITY_STEP);
	if (r < 0)
		return error_sys(err, r, "create the event loop");
	(void)sd_event_source_set_description(d->step, "step");
	for (size_t i = 0; i < ELEMENTS(d->signal); i++) {
		r = sd_event_add_signal(d->event, &d->signal[i], signals[i], on_signal, d);
		if (r < 0)
			return error_sys(err, r, "watch signal %d", signals[i]);
		(void)sd_event_source_set_priority(d->signal[i], PRIORITY_SIGNAL);
		(void)sd_event_source_set_description(d->signal[i], "signal");
	}
	r = sd_event_set_watchdog(d->event, true);
	if (r < 0)
		return error_sys(err, r, "serve the watchdog");
	return daemon_make_timers(d, err);
}

static void loop_down(struct daemon *d)
{
	sd_event_source_disable_unref(d->envoy_exit);
	for (unsigned i = 0; i < TIMER_COUNT; i++)
		sd_event_source_disable_unref(d->timer[i]);
	for (unsigned i = 0; i < ELEMENTS(d->signal); i++)
		sd_event_source_disable_unref(d->signal[i]);
	sd_event_source_disable_unref(d->step);
	sd_event_unref(d->event);
}

static int rules_up(struct daemon *d, struct error *err)
{
	const struct netfilter_backend *backend = netfilter_backends[d->current->plan.backend];
	int r = redirect_open(&d->redirect, backend, RECORD_RUN, err);

	/* What can be recognised without it is taken over with the first apply to FULL. A former program may
	 * be able to read it. */
	if (r == -EBADMSG && !retreat_is_open()) {
		log_warning("%s and is of no use", err->text);
		(void)unlink(RECORD_RUN);
		r = redirect_open(&d->redirect, backend, RECORD_RUN, err);
	}
	d->redirect.all = netfilter_backends;
	d->redirect.channel.owned = true;
	return r == NETFILTER_ABSENT ? err->code : r;
}

/* The unit makes the runtime directory; by hand, in a namespace say, it is made here. The work
 * directory is tried at once, so that a start fails before anything else is done. */
static int files_up(struct daemon *d, struct error *err)
{
	const struct facts_user *user = &d->current->plan.user;

	d->has_files = true;
	if (mkdir(RUNTIME_DIR, 0755) < 0 && errno != EEXIST)
		return error_sys(err, -errno, "make " RUNTIME_DIR);
	if (chmod(RUNTIME_DIR, 0755) < 0)
		return error_sys(err, -errno, "set the mode of " RUNTIME_DIR);
	return workdir_wipe(WORK_DIR, user->uid, user->gid, err);
}

static void files_down(struct daemon *d)
{
	const struct facts_user *user = &d->current->plan.user;
	struct error err = { 0 };

	if (workdir_remove(WORK_DIR, user->uid, user->gid, &err) < 0)
		log_error(&err, "Cannot remove the work directory");
}

/* After a crash the ports are reserved still: no other user gets them before the proxy has them. */
static void reserve_new(struct daemon *d, const struct notify_stored *stored)
{
	if (!reserve_adopt(&d->reserve, stored->fds, stored->n, &d->current->plan))
		notify_unstore(RESERVE_NAME);
}

int daemon_take_control(struct daemon *d, struct handover *from, struct error *err)
{
	const struct control_setup setup = {
		.event = d->event,
		.path = CONTROL_SOCKET,
		.priority = PRIORITY_WORDS,
		.answer = status_answer,
		.userdata = d,
	};

	return from ? control_inherit(&setup, from, &d->control, err)
		    : control_new(&setup, &d->control, err);
}

int daemon_take_relay(struct daemon *d, enum child_id id, struct handover *from, struct error *err)
{
	static const char *const prefixes[CHILD_COUNT] = { RELAY_KUMA_DP, RELAY_CORE_DNS };
	const struct relay_heir heir = {
		.event = d->event,
		.name = d->current->command[id].name,
		.priority = PRIORITY_WORDS,
		.prefix = prefixes[id],
	};

	if (from)
		return handover_has(from, heir.prefix, "ours")
			       ? relay_inherit(&heir, from, &d->child[id].relay, err)
			       : 0;
	if (!log_is_journal())
		return 0;
	return relay_new(heir.event, heir.name, heir.priority, &d->child[id].relay, err);
}

static int children_up(struct daemon *d, struct handover *from, struct error *err)
{
	int r = sweep_prepare(err);

	for (unsigned i = 0; i < CHILD_COUNT && r >= 0 && d->current->command[i].path; i++) {
		r = daemon_add_child(d, NULL, err);
		if (r >= 0)
			r = daemon_take_relay(d, (enum child_id)i, from, err);
	}
	/* Envoy says so at each try. */
	if (r >= 0 && d->child[CHILD_KUMA_DP].relay)
		relay_watch(d->child[CHILD_KUMA_DP].relay, "already an active stream",
			    daemon_refused, d);
	return r;
}

static void children_down(struct daemon *d)
{
	while (d->n_children > 0)
		proc_done(&d->child[--d->n_children].proc);
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		relay_free(d->child[i].relay);
}

int daemon_add_child(struct daemon *d, const struct proc_ops *ops, struct error *err)
{
	size_t i = d->n_children;
	const struct plan *plan = &d->current->plan;
	struct proc *proc = &d->child[i].proc;
	int r;

	*proc = (struct proc){
		.name = d->current->command[i].name,
		.event = d->event,
		.ops = ops,
		.owner = &daemon_owner,
		.userdata = d,
		.process = &d->carry.child[i],
		.backoff = {
			.delay_usec = (uint64_t)plan->restart_delay_nsec / 1000,
			.max_usec = (uint64_t)plan->restart_max_delay_nsec / 1000,
		},
	};
	r = proc_init(proc, err);
	if (r >= 0)
		d->n_children++;
	return r;
}

void daemon_init(struct daemon *d, struct generation *generation, const struct daemon_ops *ops)
{
	d->ops = ops;
	d->current = generation;
	d->redirect.channel.fd = -EBADF;
	d->carry.said = d->phase.is = PHASE_COUNT;
}

void daemon_start(struct daemon *d)
{
	const struct plan *plan = &d->current->plan;

	d->carry.started_usec = d->phase.since_usec = d->ops->now(d);
	d->carry.situation = (struct situation){
		.wish = WISH_RUN,
		.dns_redirected = plan_redirects_dns(plan),
		.applied = LEVEL_UNKNOWN,
		.generation = d->current->number,
		.hold_until_usec = USEC_NEVER,
		.proxy_by_usec = d->carry.started_usec + plan_readiness_usec(plan),
		.core_dns_by_usec = USEC_NEVER,
		.own_core_dns = d->n_children > CHILD_CORE_DNS,
		.confirm_until_usec = USEC_NEVER,
	};
}

int daemon_build(struct daemon *d, struct handover *from, struct error *err)
{
	int r = loop_up(d, err);

	if (r >= 0)
		r = rules_up(d, err);
	d->has_files = from != NULL;
	d->stores = notify_is_heard();
	daemon_find_program(d);
	if (r >= 0 && !from)
		r = files_up(d, err);
	if (r >= 0)
		r = daemon_take_control(d, from, err);
	if (r >= 0)
		r = probe_new(d->event, &d->probe.prober, err);
	if (r >= 0)
		r = daemon_watch_resolv(d, err);
	if (r >= 0)
		r = daemon_watch_token(d, err);
	if (r >= 0)
		r = children_up(d, from, err);
	if (r >= 0)
		daemon_listen(d);
	return r;
}

int daemon_new(struct generation *generation, int instance, struct daemon **ret, struct error *err)
{
	_cleanup_(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
	int ports[RESERVE_MAX], rules = -1;
	struct notify_stored stored[] = {
		{ RESERVE_NAME, ports, ELEMENTS(ports), 0 },
		{ RULES_NAME, &rules, 1, 0 },
	};
	int r;

	if (!d) {
		generation_free(generation);
		return error_sys(err, -ENOMEM, "start the daemon");
	}
	daemon_init(d, generation, &daemon_system_ops);
	d->reexec.instance = instance;
	notify_stored(stored, ELEMENTS(stored));
	reserve_new(d, &stored[0]);
	r = daemon_build(d, NULL, err);
	if (r < 0)
		return r;
	daemon_start(d);
	daemon_take_stored(d, rules);
	*ret = take_ptr(d);
	return 0;
}

void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	daemon_forget_candidate(d);
	children_down(d);
	file_watch_free(d->resolv.watch);
	netfilter_watch_free(d->rules_watch);
	file_watch_free(d->token.watch);
	generation_free(d->confirm.former);
	firewalld_bus_free(d->firewalld);
	json_decref(d->reload.answer);
	probe_free(d->probe.prober);
	control_free(d->control);
	if (d->has_files)
		files_down(d);
	redirect_done(&d->redirect);
	reserve_done(&d->reserve);
	loop_down(d);
	generation_free(d->next);
	generation_free(d->applied);
	generation_free(d->current);
	free(d);
}

/* Without a loop nobody watches the proxy: the rules go before anything else is said or done. */
static void take_rules_out(struct daemon *d)
{
	const struct netfilter_wish nothing = {
		.rules = &d->current->rules[LEVEL_NONE],
		.scope = SCOPE_RECORDED,
	};
	const struct redirect_patience patience = { .timeout_usec = LAST_TRY_USEC };
	struct error err;

	if (redirect_apply_wait(&d->redirect, &nothing, &patience, NULL, &err) != 0)
		log_error(&err, "Cannot take the rules out");
}

int daemon_run(struct daemon *d, struct error *err)
{
	int r;

	d->ops->wake(d);
	r = sd_event_loop(d->event);
	if (r < 0 && !daemon_is_stored(d))
		take_rules_out(d);
	return r < 0 ? error_sys(err, r, "run the event loop") : r;
}
