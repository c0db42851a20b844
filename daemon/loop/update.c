/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/loop/daemon.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/operator/journal.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"
#include "daemon/netfilter/leftovers/takeover.h"

#define RETRY_USEC        ((uint64_t)20 * 1000) /* while others hold the xtables lock */
#define RETRIES_SECOND    50                    /* as many of them as fit into one */
#define RETRY_FAILED_USEC ((uint64_t)1000 * 1000)
#define LOCK_EXTEND_USEC  ((uint64_t)15 * 1000 * 1000)

uint64_t daemon_now(struct daemon *d)
{
	uint64_t usec = 0;

	(void)sd_event_now(d->event, CLOCK_MONOTONIC, &usec);
	return usec;
}

/* Says the applied level once, with what journalctl -x can explain. */
static void report_level(const struct daemon *d)
{
	const char *fields[] = { "TPROXYD_BACKEND=iptables", NULL, NULL };
	char generation[40];

	(void)snprintf(generation, sizeof(generation), "TPROXYD_GENERATION=%u",
		       d->generation->number);
	fields[1] = generation;
	switch (d->situation.applied) {
	case LEVEL_FULL:
		log_event(LOG_LEVEL_NOTICE, MSG_RULES_APPLIED, fields,
			  "Traffic of this host is redirected into the mesh");
		break;
	case LEVEL_NO_DNS:
		log_event(
			LOG_LEVEL_WARNING, MSG_DEGRADED, fields,
			"DNS of the mesh does not answer: DNS goes direct, the rest stays redirected");
		break;
	case LEVEL_DRAIN:
		/* On the way to NONE, which is then told as what it is: everything is out. */
		log_event(LOG_LEVEL_NOTICE,
			  d->situation.wish == WISH_RUN ? MSG_RULES_RELEASED : NULL, fields,
			  "New connections go direct; redirected ones are served until they end");
		break;
	case LEVEL_NONE:
		log_event(LOG_LEVEL_NOTICE, MSG_RULES_REMOVED, fields,
			  "Traffic of this host goes direct");
		break;
	case LEVEL_UNKNOWN:
		break;
	}
}

static int on_retry(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	daemon_update(userdata);
	return 0;
}

static void retry_later(struct daemon *d, uint64_t usec)
{
	d->retries++;
	d->retry_timer = sd_event_source_disable_unref(d->retry_timer);
	(void)sd_event_add_time_relative(d->event, &d->retry_timer, CLOCK_MONOTONIC, usec, 1000,
					 on_retry, d);
}

static void applied(struct daemon *d, enum level level, const struct string_list *left)
{
	enum level before = d->situation.applied;

	d->retries = 0;
	d->stale = false;
	d->situation.applied = level;
	if (d->trouble[0])
		d->said = PHASE_COUNT; /* the status is about it */
	d->trouble[0] = 0;
	/* The leftovers that a start removes are not worth a line when there were none. */
	if (before != LEVEL_UNKNOWN || level != LEVEL_NONE)
		report_level(d);
	for (size_t i = 0; i < left->n; i++)
		log_warning("%s", left->items[i]);
	/* It blocks, so only the first time: before READY=1. */
	if (level == LEVEL_FULL && !d->ready)
		takeover_now();
}

/* A second after the first try the operator is told, and the service manager asked for time. A
 * start has its deadline all the same. */
static void others_busy(struct daemon *d, const struct error *err)
{
	const struct situation *s = &d->situation;

	if (d->retries == RETRIES_SECOND) {
		log_event(LOG_LEVEL_WARNING, MSG_LOCK_CONTENTION, NULL,
			  "%c%s for more than a second", toupper((unsigned char)err->text[0]),
			  err->text + 1);
		(void)snprintf(d->trouble, sizeof(d->trouble), "%.*s", (int)sizeof(d->trouble) - 1,
			       err->text);
	}
	if (d->retries % RETRIES_SECOND == 0 && !(d->ready && s->wish == WISH_RUN))
		notify_extend(LOCK_EXTEND_USEC);
	if (s->wish == WISH_RUN && !d->ready && s->now_usec >= s->start_deadline_usec)
		daemon_fail(d, NULL, "Not ready in time: %s", err->text);
	retry_later(d, RETRY_USEC);
}

static void apply_failed(struct daemon *d, enum level wanted, const struct error *err)
{
	bool running = d->situation.wish == WISH_RUN;

	/* While stopping it is tried again many times a second, and told once a second. */
	if (running || d->retries % RETRIES_SECOND == 0)
		log_error(err, "Cannot bring the rules to level %s", level_name(wanted));
	d->situation.applied = LEVEL_UNKNOWN;
	(void)snprintf(d->trouble, sizeof(d->trouble), "%.*s", (int)sizeof(d->trouble) - 1,
		       err->text);
	if (running && !d->ready)
		daemon_fail(d, NULL, "%s", err->text);
	else
		retry_later(d, running ? RETRY_FAILED_USEC : RETRY_USEC);
}

static void apply(struct daemon *d, enum level wanted)
{
	const struct netfilter_wish wish = {
		.rules = &d->generation->rules[wanted],
		.scope = wanted == LEVEL_FULL ? SCOPE_RECOGNISED : SCOPE_RECORDED,
	};
	struct netfilter_report report = { 0 };
	struct error err = { 0 };
	int r = redirect_apply(&d->redirect, &wish, &report, &err);

	if (r == 0)
		applied(d, wanted, &report.left);
	else if (r == NETFILTER_BUSY)
		others_busy(d, &err);
	else
		apply_failed(d, wanted, &err);
	netfilter_report_done(&report);
}

/* "kuma-dp 4711, coredns 4712". */
static void describe_children(const struct daemon *d, struct strbuf *out)
{
	for (size_t i = 0; i < d->n_children; i++)
		if (d->child[i].pid > 0)
			strbuf_addf(out, "%s%s %d", out->len ? ", " : "", d->child[i].name,
				    (int)d->child[i].pid);
}

static void say_status(struct daemon *d, enum phase now)
{
	const struct plan *plan = &d->generation->plan;
	_strbuf_ struct strbuf children = { 0 };
	const char *families = !plan->family[FAMILY_V6].enabled ? "IPv4" : "IPv4 and IPv6";

	if (d->trouble[0] && now != PHASE_STARTING) {
		notify_status(d->status, "Cannot %s: %s",
			      d->situation.wish == WISH_STOP ? "take the rules out"
							     : "apply the rules",
			      d->trouble);
		return;
	}
	describe_children(d, &children);
	switch (now) {
	case PHASE_STARTING:
		notify_status(d->status, "Waiting for %s",
			      d->probed.missing[0] ? d->probed.missing : "kuma-dp");
		break;
	case PHASE_APPLYING:
		notify_status(d->status, "Applying the rules");
		break;
	case PHASE_REDIRECTING:
		notify_status(d->status, "Redirecting %s; %s", families, strbuf_text(&children));
		break;
	case PHASE_DEGRADED:
		notify_status(d->status, "Degraded: DNS goes direct; %s does not answer",
			      d->probed.missing);
		break;
	case PHASE_HOLDING:
		notify_status(d->status, "Holding the rules while the proxy does not serve: %s",
			      d->probed.missing);
		break;
	case PHASE_RELEASED:
		notify_status(d->status, "Released: traffic goes direct until the proxy serves: %s",
			      d->probed.missing);
		break;
	case PHASE_DRAINING:
		notify_status(d->status,
			      "Draining: redirected connections are served until they end");
		break;
	case PHASE_STOPPING:
	case PHASE_STOPPED:
		notify_status(d->status, "Stopping the children");
		break;
	case PHASE_COUNT:
		break;
	}
}

static void say_phase(struct daemon *d)
{
	enum phase now = phase(&d->situation);

	/* While draining, the count of open connections is the status; after a failure it is the
	 * reason, to the end. */
	if (d->exit_status == 0 && (now != d->said || now == PHASE_STARTING || d->trouble[0]))
		say_status(d, now);
	d->said = now;
	if (now == PHASE_REDIRECTING && !d->ready) {
		d->ready = true;
		notify_ready();
		log_info("Started in %llu ms",
			 (unsigned long long)(daemon_now(d) - d->started_usec) / 1000);
	}
}

static int on_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *userdata)
{
	daemon_update(userdata);
	return 0;
}

static void arm_deadline(struct daemon *d)
{
	uint64_t deadline = next_deadline(&d->situation);

	d->deadline_timer = sd_event_source_disable_unref(d->deadline_timer);
	if (deadline != USEC_NEVER)
		(void)sd_event_add_time(d->event, &d->deadline_timer, CLOCK_MONOTONIC, deadline,
					1000, on_deadline, d);
}

void daemon_fail(struct daemon *d, const char *id, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->exit_status = EXIT_FAILURE;
	if (d->situation.wish == WISH_STOP)
		return;
	d->situation.wish = WISH_STOP;
	d->retries = 0;
	log_event(LOG_LEVEL_ERROR, id, NULL, "%s", text);
	notify_stopping();
	(void)snprintf(d->status, sizeof(d->status), "%.*s", (int)sizeof(d->status) - 1, text);
	notify_failed(EIO, text);
}

static void start_timed_out(struct daemon *d)
{
	int64_t sec = d->generation->plan.readiness_timeout_nsec / 1000000000;
	_strbuf_ struct strbuf quotes = { 0 };

	journal_quote_children(d->started_realtime_usec, &quotes);
	daemon_fail(d, MSG_START_TIMED_OUT, "The proxy did not serve within %lld s; missing: %s%s",
		    (long long)sec, d->probed.missing[0] ? d->probed.missing : "everything",
		    strbuf_text(&quotes));
}

void daemon_update(struct daemon *d)
{
	struct situation *s = &d->situation;
	enum level wanted;

	s->now_usec = daemon_now(d);
	s->proxy_alive = d->child[CHILD_KUMA_DP].pid > 0;
	if (s->wish == WISH_RUN && start_failed(s))
		start_timed_out(d);
	daemon_adopt(d);
	wanted = wanted_level(s);
	/* While held, what is wanted is what there is, even where that is not known. */
	if (wanted != s->applied || (d->stale && wanted != LEVEL_UNKNOWN))
		apply(d, wanted);
	/* A failed apply may have turned the wish round. */
	if (s->wish == WISH_STOP)
		daemon_advance_stop(d);
	say_phase(d);
	arm_deadline(d);
}
