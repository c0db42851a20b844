/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The daemon's real hands: the event loop, the kernel, the journal. */

#include <errno.h>
#include <sys/pidfd.h>
#include <time.h>

#include "daemon/host/nft.h"
#include "daemon/loop/state.h"
#include "daemon/loop/stored.h"
#include "daemon/netfilter/leftovers/takeover.h"
#include "daemon/operator/log.h"
#include "daemon/operator/manager.h"
#include "daemon/operator/notify.h"
#include "daemon/os/fd.h"
#include "daemon/os/sock_diag.h"
#include "daemon/process/procfs.h"
#include "daemon/process/workdir.h"

static uint64_t now(struct daemon *d)
{
	uint64_t usec = 0;

	(void)sd_event_now(d->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

static uint64_t wall(struct daemon *d)
{
	uint64_t usec = 0;

	(void)sd_event_now(d->event, CLOCK_REALTIME, &usec);
	return usec / 1000000;
}

/* None of these calls allocates, and the arguments are right: they do not fail. */
static void wake(struct daemon *d)
{
	(void)sd_event_source_set_enabled(d->step, SD_EVENT_ONESHOT);
}

static void arm(struct daemon *d, enum timer timer, uint64_t usec)
{
	(void)sd_event_source_set_time(d->timer[timer], usec);
	(void)sd_event_source_set_enabled(d->timer[timer],
					  usec == USEC_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int probe(struct daemon *d, const struct probe_target *target, struct error *err)
{
	return probe_start(d->probe.prober, target, daemon_probed, d, err);
}

static void hurry(struct daemon *d)
{
	probe_hurry(d->probe.prober);
}

static int on_envoy_exit(sd_event_source *source, _unused_ int fd, _unused_ uint32_t events,
			 void *userdata)
{
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	daemon_envoy_ended(userdata);
	return 0;
}

int daemon_watch_envoy(struct daemon *d, int pidfd)
{
	int r;

	d->envoy_exit = sd_event_source_disable_unref(d->envoy_exit);
	r = sd_event_add_io(d->event, &d->envoy_exit, pidfd, EPOLLIN, on_envoy_exit, d);
	if (r < 0)
		return r;
	(void)sd_event_source_set_description(d->envoy_exit, "envoy");
	(void)sd_event_source_set_priority(d->envoy_exit, PRIORITY_CHILD);
	(void)sd_event_source_set_io_fd_own(d->envoy_exit, 1);
	return 0;
}

static int watch_envoy(struct daemon *d, pid_t pid)
{
	_close_ int fd = pidfd_open(pid, 0);
	struct process process;
	int r;

	if (fd < 0)
		return -errno;
	/* It is the one that began to listen: it may have left the socket to another since, and its number
	 * to anybody, who is not to be stopped. */
	if (process_read(pid, &process) < 0 || process.uid != d->current->plan.user.uid)
		return -ESRCH;
	r = daemon_watch_envoy(d, fd);
	if (r >= 0)
		(void)take_fd(&fd);
	return r;
}

static int signal_envoy(struct daemon *d, int sig)
{
	int fd = d->envoy_exit ? sd_event_source_get_io_fd(d->envoy_exit) : -ESRCH;

	if (fd < 0)
		return fd;
	return pidfd_send_signal(fd, sig, NULL, 0) < 0 ? -errno : 0;
}

/* The work directory is kuma-dp's; our coredns only has it as its current directory. */
static int files(struct daemon *d, enum child_id id, struct error *err)
{
	const struct facts_user *user = &d->current->plan.user;
	int r = id == CHILD_KUMA_DP ? workdir_wipe(WORK_DIR, user->uid, user->gid, err) : 0;

	return r < 0 ? r : workdir_write(&latest_of(d)->command[id], user->uid, user->gid, err);
}

static uint64_t cpu(_unused_ struct daemon *d)
{
	struct timespec used = { 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

/* The proxy serves by now: a port that it has without SO_REUSEPORT cannot be had. */
static void reserve(struct daemon *d, const struct plan *plan)
{
	size_t before = d->reserve.n;
	_strbuf_ struct strbuf missing = { 0 };

	reserve_take(&d->reserve, plan, &missing);
	for (size_t i = before; i < d->reserve.n; i++)
		notify_store(RESERVE_NAME, d->reserve.items[i].fd);
	if (missing.len && !d->told_unreserved)
		log_info("Other users can have the proxy's port when it ends, because it cannot be "
			 "reserved: %s",
			 strbuf_text(&missing));
	d->told_unreserved = missing.len > 0;
}

/* systemd forgets by name: what stays is stored anew. */
static void keep_reserved(struct daemon *d, const struct plan *plan)
{
	if (!reserve_keep(&d->reserve, plan))
		return;
	notify_unstore(RESERVE_NAME);
	for (size_t i = 0; i < d->reserve.n; i++)
		notify_store(RESERVE_NAME, d->reserve.items[i].fd);
}

static void unreserve(struct daemon *d)
{
	notify_unstore(RESERVE_NAME);
	reserve_done(&d->reserve);
}

static void store(struct daemon *d, bool stored)
{
	if (stored)
		notify_store(RULES_NAME, d->redirect.channel.fd);
	else
		notify_unstore(RULES_NAME);
}

static void leave(struct daemon *d, int status)
{
	(void)sd_event_exit(d->event, status);
}

static int load(_unused_ struct daemon *d, const struct generation *former, struct generation **ret,
		struct error *err)
{
	return generation_again(former, ret, err);
}

static void reply(struct daemon *d, json_t *answer)
{
	control_reply(d->control, d->reload.ticket, answer);
}

static void follow(struct daemon *d)
{
	struct error err = { 0 };

	if (daemon_watch_resolv(d, &err) < 0)
		log_error(&err, "Changes of the name servers go unnoticed");
	if (daemon_watch_token(d, &err) < 0)
		log_error(&err, "A token that is replaced goes unnoticed");
}

static void quote(struct daemon *d, struct strbuf *out)
{
	for (size_t i = 0; i < d->n_children; i++)
		if (d->child[i].relay)
			relay_quote(d->child[i].relay, out);
}

const struct daemon_ops daemon_system_ops = {
	.now = now,
	.wall = wall,
	.wake = wake,
	.arm = arm,
	.probe = probe,
	.hurry = hurry,
	.watch_envoy = watch_envoy,
	.signal_envoy = signal_envoy,
	.connections = sock_tcp_connections,
	.sweep = sweep_round,
	.files = files,
	.quote = quote,
	.take_over = takeover_now,
	.foreign = host_nft_nat_foreign,
	.foreign_first = host_nft_nat_first,
	.listen_again = daemon_listen_again,
	.cpu = cpu,
	.reserve = reserve,
	.keep_reserved = keep_reserved,
	.unreserve = unreserve,
	.starts_again = manager_starts_again,
	.store = store,
	.load = load,
	.reply = reply,
	.follow = follow,
	.exit = leave,
};

void daemon_timer(struct daemon *d, enum timer timer)
{
	d->armed[timer] = false;
	daemon_was_due(d, d->due_usec[timer]);
	if (timer == TIMER_PROBE)
		daemon_probe(d);
	else if (timer == TIMER_DRAIN)
		daemon_drain_look(d);
	else
		d->ops->wake(d);
}

static int on_timer(sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;

	for (enum timer timer = 0; timer < TIMER_COUNT; timer++)
		if (source == d->timer[timer])
			daemon_timer(d, timer);
	return 0;
}

/*
 * CLOCK_MONOTONIC, here and for the children: it stands still while the host is suspended, as do the
 * children, whoever waits for them, and systemd's own limits. With CLOCK_BOOTTIME every deadline would
 * be over after a night's sleep, in which nobody had a chance to meet it. Where we alone do not run,
 * or a machine is paused with its clock going on, timers come late: daemon_was_due() sees to that.
 * Nothing but the token's end goes by CLOCK_REALTIME, which may jump.
 */
int daemon_make_timers(struct daemon *d, struct error *err)
{
	int r = 0;

	for (enum timer i = 0; i < TIMER_COUNT && r >= 0; i++) {
		r = sd_event_add_time(d->event, &d->timer[i], CLOCK_MONOTONIC, USEC_NEVER, 1000,
				      on_timer, d);
		if (r >= 0)
			r = sd_event_source_set_enabled(d->timer[i], SD_EVENT_OFF);
		if (r >= 0)
			r = sd_event_source_set_description(d->timer[i], "loop");
	}
	return r < 0 ? error_sys(err, r, "make the timers") : 0;
}
