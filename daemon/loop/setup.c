/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From nothing to a running loop, and back: a table of steps, undone backwards from wherever we got
 * to. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>

#include "daemon/loop/daemon.h"
#include "daemon/os/fd.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"
#include "daemon/loop/status.h"
#include "daemon/netfilter/xt/backend.h"
#include "daemon/process/sweep.h"
#include "daemon/process/workdir.h"

static int on_signal(_unused_ sd_event_source *source, const struct signalfd_siginfo *si,
		     void *userdata)
{
	struct daemon *d = userdata;

	if (si->ssi_signo == SIGHUP) {
		log_warning(
			"Reload is not built yet; restart the service to apply a changed configuration");
		return 0;
	}
	if (d->situation.wish == WISH_STOP) {
		log_info("Asked to stop again: not waiting for open connections");
		proc_hurry(&d->child[CHILD_KUMA_DP]);
	} else {
		log_info("Stopping");
		d->situation.wish = WISH_STOP;
		d->retries = 0;
		notify_stopping();
	}
	daemon_update(d);
	return 0;
}

static int loop_up(struct daemon *d, struct error *err)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	int r = sd_event_default(&d->event);

	if (r < 0)
		return error_sys(err, r, "create the event loop");
	for (size_t i = 0; i < ELEMENTS(signals); i++) {
		sd_event_source *source;

		r = sd_event_add_signal(d->event, &source, signals[i], on_signal, d);
		if (r < 0)
			return error_sys(err, r, "watch signal %d", signals[i]);
		(void)sd_event_source_set_priority(source, PRIORITY_SIGNAL);
		(void)sd_event_source_set_description(source, "signal");
		r = sd_event_source_set_floating(source, 1);
		sd_event_source_unref(source);
		if (r < 0)
			return error_sys(err, r, "watch signal %d", signals[i]);
	}
	r = sd_event_set_watchdog(d->event, true);
	if (r < 0)
		return error_sys(err, r, "serve the watchdog");
	return 0;
}

static void loop_down(struct daemon *d)
{
	sd_event_source_disable_unref(d->envoy_exit);
	sd_event_source_disable_unref(d->probe_timer);
	sd_event_source_disable_unref(d->deadline_timer);
	sd_event_source_disable_unref(d->retry_timer);
	sd_event_source_disable_unref(d->drain_timer);
	sd_event_unref(d->event);
}

static int rules_up(struct daemon *d, struct error *err)
{
	int r = redirect_open(&d->redirect, &backend_xt, RECORD_RUN, err);

	return r == NETFILTER_ABSENT ? err->code : r;
}

static void rules_down(struct daemon *d)
{
	redirect_done(&d->redirect);
}

/* The unit makes the runtime directory; by hand, in a namespace say, it is made here. */
static int files_up(struct daemon *d, struct error *err)
{
	const struct plan *plan = &d->generation->plan;

	if (mkdir(RUNTIME_DIR, 0755) < 0 && errno != EEXIST)
		return error_sys(err, -errno, "make " RUNTIME_DIR);
	if (chmod(RUNTIME_DIR, 0755) < 0)
		return error_sys(err, -errno, "set the mode of " RUNTIME_DIR);
	return workdir_wipe(WORK_DIR, plan->user.uid, plan->user.gid, err);
}

static void files_down(struct daemon *d)
{
	const struct plan *plan = &d->base->plan;
	struct error err = { 0 };

	if (workdir_remove(WORK_DIR, plan->user.uid, plan->user.gid, &err) < 0)
		log_error(&err, "Cannot remove the work directory");
	for (size_t i = 0; i < d->base->kuma_dp.n_files; i++)
		(void)unlink(d->base->kuma_dp.files[i].path);
	for (size_t i = 0; i < d->base->core_dns.n_files; i++)
		(void)unlink(d->base->core_dns.files[i].path);
}

static int control_up(struct daemon *d, struct error *err)
{
	return control_new(d->event, CONTROL_SOCKET, status_answer, d, &d->control, err);
}

static void control_down(struct daemon *d)
{
	control_free(d->control);
}

static int probe_up(struct daemon *d, struct error *err)
{
	return probe_new(d->event, &d->probe, err);
}

static void probe_down(struct daemon *d)
{
	probe_free(d->probe);
}

/* A stream to the journal under the child's own name, so that nobody pumps its output. */
static int child_output(const char *name)
{
	int fd = log_is_journal() ? sd_journal_stream_fd(name, LOG_INFO, 0) : -1;

	return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static int child_up(struct daemon *d, const char *name, struct error *err)
{
	size_t i = d->n_children;
	int r = proc_init(&d->child[i], d->event, name, NULL, &daemon_owner, d, err);

	if (r < 0)
		return r;
	d->n_children++;
	d->child[i].start_usec = USEC_NEVER; /* the situation has the deadline */
	d->child[i].drain_usec =
		i == CHILD_KUMA_DP ? (uint64_t)d->generation->plan.children.drain_time_nsec / 1000
				   : 0;
	d->output[i] = child_output(name);
	return d->output[i] < 0 ? error_sys(err, -errno, "open an output for %s", name) : 0;
}

static int children_up(struct daemon *d, struct error *err)
{
	int r = sweep_prepare(err);

	if (r == 0)
		r = child_up(d, "kuma-dp", err);
	if (r == 0 && d->base->core_dns.path)
		r = child_up(d, "coredns", err);
	return r;
}

static void children_down(struct daemon *d)
{
	while (d->n_children > 0)
		proc_done(&d->child[--d->n_children]);
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		if (d->output[i] >= 0)
			(void)close(d->output[i]);
}

static int resolv_up(struct daemon *d, struct error *err)
{
	return daemon_watch_resolv(d, err);
}

static void resolv_down(struct daemon *d)
{
	file_watch_free(d->resolv_conf);
	generation_free(d->next);
	d->next = NULL;
	if (d->generation != d->base)
		generation_free(d->generation);
	d->generation = d->base;
}

static const struct step {
	int (*up)(struct daemon *d, struct error *err);
	void (*down)(struct daemon *d); /* also after a failed up */
} steps[] = {
	{ loop_up, loop_down },         { rules_up, rules_down }, { files_up, files_down },
	{ control_up, control_down },   { probe_up, probe_down }, { resolv_up, resolv_down },
	{ children_up, children_down },
};

int daemon_new(struct generation *generation, struct daemon **ret, struct error *err)
{
	_cleanup_(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
	const struct plan *plan = &generation->plan;
	struct timespec now;

	if (!d)
		return error_sys(err, -ENOMEM, "start the daemon");
	d->base = d->generation = generation;
	for (unsigned i = 0; i < CHILD_COUNT; i++)
		d->output[i] = -1;
	for (; d->n_up < ELEMENTS(steps);) {
		int r = steps[d->n_up++].up(d, err);

		if (r < 0)
			return r;
	}
	(void)clock_gettime(CLOCK_REALTIME, &now);
	d->started_realtime_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	d->started_usec = daemon_now(d);
	d->said = PHASE_COUNT;
	d->situation = (struct situation){
		.wish = WISH_RUN,
		.dns_redirected = plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns,
		.applied = LEVEL_UNKNOWN,
		.hold_until_usec = USEC_NEVER,
		.start_deadline_usec =
			d->started_usec + (uint64_t)plan->readiness_timeout_nsec / 1000,
	};
	*ret = take_ptr(d);
	return 0;
}

void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	while (d->n_up > 0)
		steps[--d->n_up].down(d);
	free(d);
}

/* What a killed predecessor left goes before anything starts; the children
 * need the plain network. */
static int on_begin(_unused_ sd_event_source *source, void *userdata)
{
	struct daemon *d = userdata;

	daemon_update(d);
	for (size_t i = 0; i < d->n_children && d->situation.wish == WISH_RUN; i++)
		proc_start(&d->child[i]);
	daemon_probe(d);
	daemon_update(d);
	return 0;
}

int daemon_run(struct daemon *d, struct error *err)
{
	sd_event_source *begin = NULL;
	int r = sd_event_add_defer(d->event, &begin, on_begin, d);

	if (r >= 0)
		r = sd_event_loop(d->event);
	sd_event_source_disable_unref(begin);
	if (r < 0)
		return error_sys(err, r, "run the event loop");
	return r;
}
