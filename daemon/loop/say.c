/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the operator is told: the journal's events, systemd's STATUS= and READY=1. */

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/utf8.h"
#include "daemon/loop/state.h"
#include "daemon/loop/stored.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"

void say_level(struct daemon *d, enum level before)
{
	const struct situation *s = situation_of(d);
	char backend[40], generation[40];
	const char *const fields[] = { backend, generation, NULL };

	(void)snprintf(backend, sizeof(backend), "TPROXYD_BACKEND=%s", d->redirect.backend->name);
	(void)snprintf(generation, sizeof(generation), "TPROXYD_GENERATION=%u",
		       s->applied_generation);
	if (s->wish == WISH_RUN && unconfirmed(s) && before != LEVEL_DRAIN) {
		log_event(LOG_LEVEL_WARNING, MSG_UNCONFIRMED, fields,
			  "Nobody has confirmed the redirect in time: new connections go direct; "
			  "\"tproxyd confirm\" brings it back");
		return;
	}
	switch (s->applied) {
	case LEVEL_FULL:
		log_event(LOG_LEVEL_NOTICE, MSG_RULES_APPLIED, fields,
			  "Traffic of this host is redirected into the mesh");
		break;
	case LEVEL_NO_DNS:
		log_event(LOG_LEVEL_WARNING, MSG_DEGRADED, fields,
			  "DNS of the mesh does not answer: DNS goes direct, the rest %s",
			  s->proxy_serving ? "stays redirected" : "is held");
		break;
	case LEVEL_DRAIN:
		/* On the way to NONE, which is then told as what it is: everything is out. */
		log_event(LOG_LEVEL_NOTICE, s->wish == WISH_RUN ? MSG_RULES_RELEASED : NULL, fields,
			  "New connections go direct; redirected ones are served until they end");
		break;
	case LEVEL_NONE:
		/* A start that finds nothing to remove is not worth a line. */
		if (before != LEVEL_UNKNOWN)
			log_event(LOG_LEVEL_NOTICE, MSG_RULES_REMOVED, fields,
				  "Traffic of this host goes direct");
		break;
	case LEVEL_UNKNOWN:
		break;
	}
}

/* "kuma-dp 4711, coredns 4712". */
static void describe_children(const struct daemon *d, struct strbuf *out)
{
	for (size_t i = 0; i < d->n_children; i++)
		if (child_lives(d, (enum child_id)i))
			strbuf_addf(out, "%s%s %d", out->len ? ", " : "", d->child[i].proc.name,
				    (int)d->carry.child[i].pid);
}

static void say_applying(struct daemon *d)
{
	if (situation_of(d)->disturbed)
		notify_status(d->status,
			      "Others keep changing the rules, which are put right soon: %s",
			      d->drift.found);
	else
		notify_status(d->status, "Applying the rules");
}

/* ", released in 42 s unless confirmed (tproxyd confirm)", or what a reload leads to; "" where nothing is
 * waited for. */
static void describe_confirmation(struct daemon *d, struct strbuf *out)
{
	uint64_t sec = daemon_confirm_sec(d);

	if (sec)
		strbuf_addf(out, ", %s in %llu s unless confirmed (tproxyd confirm)",
			    situation_of(d)->confirm_until_usec != USEC_NEVER
				    ? "released"
				    : "back to the former configuration",
			    (unsigned long long)sec);
}

void say_missing(const struct daemon *d, char *ret, size_t size)
{
	uint64_t now = d->carry.situation.now_usec;
	uint64_t until = refusal_until(&d->control_plane.refusal, now);

	if (until)
		utf8_print(ret, size, "the control plane to accept this node again, about %llu s",
			   (unsigned long long)(until - now + 999999) / 1000000);
	else
		utf8_print(ret, size, "%s",
			   d->probe.last.missing[0] ? d->probe.last.missing : "kuma-dp");
}

void say_wait(const struct daemon *d, char *ret, size_t size)
{
	const struct proc *proc = &d->child[CHILD_KUMA_DP].proc;
	char missing[200];

	say_missing(d, missing, sizeof(missing));
	if (refusal_until(&d->control_plane.refusal, d->carry.situation.now_usec))
		utf8_print(ret, size, "it waits for %s", missing);
	else if (proc->state == PROC_BACKOFF)
		utf8_print(ret, size, "kuma-dp %s and is started again", proc->last_exit_text);
	else
		utf8_print(ret, size, "%s", d->probe.last.missing);
}

static void say_released(struct daemon *d)
{
	char wait[200];

	say_wait(d, wait, sizeof(wait));
	if (unconfirmed(situation_of(d)))
		notify_status(d->status, "Released: nobody has confirmed the redirect; "
					 "\"tproxyd confirm\" brings it back");
	else
		notify_status(d->status, "Released: traffic goes direct until the proxy serves: %s",
			      wait);
}

static void say_holding(struct daemon *d)
{
	char wait[200];

	say_wait(d, wait, sizeof(wait));
	notify_status(d->status, "Holding the rules while the proxy does not serve: %s", wait);
}

static void say_degraded(struct daemon *d)
{
	_strbuf_ struct strbuf confirm = { 0 };
	bool dns = situation_of(d)->applied == LEVEL_NO_DNS;

	describe_confirmation(d, &confirm);
	notify_status(d->status, "Degraded: %s%s does not answer%s", dns ? "DNS goes direct; " : "",
		      d->probe.last.missing, strbuf_text(&confirm));
}

static void say_status(struct daemon *d, enum phase now)
{
	const char *families =
		d->current->plan.family[FAMILY_V6].enabled ? "IPv4 and IPv6" : "IPv4";
	char missing[200];
	_strbuf_ struct strbuf children = { 0 }, confirm = { 0 };

	if (d->trouble.why[0] && now != PHASE_STARTING) {
		notify_status(d->status, "Cannot %s: %s",
			      situation_of(d)->wish == WISH_STOP ? "take the rules out"
								 : "apply the rules",
			      d->trouble.why);
		return;
	}
	switch (now) {
	case PHASE_STARTING:
		say_missing(d, missing, sizeof(missing));
		notify_status(d->status, "Waiting for %s", missing);
		break;
	case PHASE_APPLYING:
		say_applying(d);
		break;
	case PHASE_REDIRECTING:
		describe_children(d, &children);
		describe_confirmation(d, &confirm);
		notify_status(d->status, "Redirecting %s%s; %s", families, strbuf_text(&confirm),
			      strbuf_text(&children));
		break;
	case PHASE_DEGRADED:
		say_degraded(d);
		break;
	case PHASE_HOLDING:
		say_holding(d);
		break;
	case PHASE_RELEASED:
		say_released(d);
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

/* Once the step has done what it could about the rules: systemd may be slow to listen. */
static void say_end(struct daemon *d)
{
	d->stop.told = true;
	notify_stopping();
	if (d->failure[0])
		notify_failed(EIO, d->failure);
}

/* What the journal did not take is tried again, and lines that were dropped are told. */
static void say_late(struct daemon *d)
{
	for (size_t i = 0; i < d->n_children; i++)
		if (d->child[i].relay)
			relay_tell(d->child[i].relay);
	if (log_is_journal())
		log_flush();
}

void say_phase(struct daemon *d)
{
	enum phase now = phase(situation_of(d));
	bool may_change = now == PHASE_STARTING || now == PHASE_DEGRADED || now == PHASE_HOLDING ||
			  now == PHASE_RELEASED || d->trouble.why[0] || daemon_confirm_sec(d);

	if (now != d->phase.is) {
		d->phase.is = now;
		d->phase.since_usec = situation_of(d)->now_usec;
		d->phase.since_sec = d->ops->wall(d);
	}
	say_late(d);
	if (situation_of(d)->wish == WISH_STOP && !d->stop.told)
		say_end(d);
	/* While draining, the count of open connections is the status; after a failure it is the
	 * reason, to the end. */
	if (d->exit_status == 0 && (now != d->carry.said || may_change))
		say_status(d, now);
	d->carry.said = now;
	if (now == PHASE_REDIRECTING && !d->carry.ready) {
		d->carry.ready = true;
		notify_ready();
		/* What loading and looking at the host took is not needed again. */
		(void)malloc_trim(0);
		log_info("Started in %llu ms",
			 (unsigned long long)(d->ops->now(d) - d->carry.started_usec) / 1000);
	}
}

void daemon_fail(struct daemon *d, const char *id, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	utf8_vprint(text, sizeof(text), fmt, args);
	va_end(args);
	d->exit_status = EXIT_FAILURE;
	if (situation_of(d)->wish == WISH_STOP)
		return;
	/* systemd starts us again after a failure. */
	daemon_wish_stop(d, daemon_is_stored(d));
	log_event(LOG_LEVEL_ERROR, id, NULL, "%s", text);
	utf8_print(d->status, sizeof(d->status), "%s", text);
	utf8_print(d->failure, sizeof(d->failure), "%s", text);
}
