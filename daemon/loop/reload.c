/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A reload: everything is read again beside what runs. What is not valid, or not possible without a
 * restart of the service, changes nothing; else the next generation is taken, and whoever has asked
 * is answered when it has come true. A later reload takes the place of one that has not.
 */

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"
#include "daemon/operator/notify.h"

#define RULES_USEC    ((uint64_t)10 * 1000 * 1000) /* for others to let go of the rules */
#define CORE_DNS_USEC ((uint64_t)30 * 1000 * 1000) /* for our coredns to end, start and answer */
#define CONFIRM_USEC  ((uint64_t)60 * 1000 * 1000) /* for who asks for it where none is set */

/* An answer that says no: the exit status of whoever asked, and why. */
static json_t *refuse(int status, const char *sentence)
{
	json_t *answer = json_refusal(sentence);

	if (answer && json_object_set_new(answer, "exit-status", json_integer(status)) < 0) {
		json_decref(answer);
		return NULL;
	}
	return answer;
}

static bool add_text(json_t *list, const char *text)
{
	return json_array_append_new(list, json_text(text)) == 0;
}

static bool was_said(const struct diag_list *list, const struct diag *diag)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].text, diag->text) == 0)
			return true;
	return false;
}

/* What there is to say goes to the journal and to whoever asked; what was said before, and still
 * holds, only where something is wrong. */
static json_t *report(const struct generation *former, const struct generation *next)
{
	const struct diag_list *diags = &next->options.diags;
	json_auto_t *texts = json_array();

	for (size_t i = 0; i < diags->n; i++) {
		_strbuf_ struct strbuf line = { 0 };

		if (!diags->n_errors && was_said(&former->options.diags, &diags->items[i]))
			continue;
		log_diag(&diags->items[i]);
		diag_print(&diags->items[i], &line);
		if (!add_text(texts, strbuf_text(&line)))
			return NULL;
	}
	return take_ptr(texts);
}

static json_t *reject(const struct generation *g, json_t *messages)
{
	int status = generation_exit_status(g);
	const char *sentence =
		status == EX_CONFIG
			? "The new configuration is not valid; everything stays as it is"
			: "This host cannot do what the new configuration asks for; "
			  "everything stays as it is";
	json_auto_t *answer = refuse(status, sentence);

	log_event(LOG_LEVEL_ERROR, MSG_CONFIG_REJECTED, NULL, "%s", sentence);
	if (json_object_set(answer, "messages", messages) < 0)
		return NULL;
	return take_ptr(answer);
}

/* "the rules change (redirect.dns.port: 53 instead of 15053; the token)". */
static void describe(const struct change *change, struct strbuf *out)
{
	change_print(change, out);
	for (size_t i = 0; i < change->words.n; i++)
		strbuf_addf(out, "%s%s", i ? "; " : " (", change->words.items[i]);
	if (change->words.n)
		strbuf_addc(out, ')');
}

/* The answer of a reload that is possible. */
static json_t *consent(const struct generation *g, const struct change *change, json_t *messages)
{
	_strbuf_ struct strbuf text = { 0 };
	json_auto_t *changes = json_array();

	change_print(change, &text);
	for (size_t i = 0; i < change->words.n; i++)
		if (!add_text(changes, change->words.items[i]))
			return NULL;
	return json_pack("{s:b,s:o,s:b,s:b,s:b,s:b,s:I,s:O,s:O}", "ok", 1, "text",
			 json_text(strbuf_text(&text)), "rules", change->needs & CHANGE_RULES,
			 "kuma-dp", change->needs & CHANGE_KUMA_DP, "coredns",
			 change->needs & CHANGE_CORE_DNS, "daemon", change->needs & CHANGE_DAEMON,
			 "generation", (json_int_t)g->number, "changes", changes, "messages",
			 messages);
}

/* The end of a reload that was awaited; takes the answer. */
static void finish(struct daemon *d, json_t *answer)
{
	bool asked = d->reload.asked;

	json_decref(d->reload.answer);
	d->reload = (struct reload){ .ticket = d->reload.ticket };
	daemon_arm(d, TIMER_RELOAD, USEC_NEVER);
	/* systemd waits for both; what it does next may begin when the answer is there. */
	if (d->carry.ready && situation_of(d)->wish == WISH_RUN)
		notify_ready();
	if (asked)
		d->ops->reply(d, answer);
	else
		json_decref(answer);
	(void)malloc_trim(0);
}

/* How long it may take before whoever asked is told how far it is. */
static uint64_t patience_usec(const struct daemon *d, unsigned needs)
{
	const struct plan *plan = &d->next->plan;

	if (needs & CHANGE_KUMA_DP)
		return (uint64_t)(d->current->plan.children.drain_time_nsec +
				  plan->readiness_timeout_nsec) /
			       1000 +
		       PROC_KILL_USEC;
	return needs & CHANGE_CORE_DNS ? CORE_DNS_USEC : RULES_USEC;
}

/* An awaited reload that this one takes the place of has its end here; what it needed has not come true
 * either. */
static void await(struct daemon *d, enum reload_kind kind, unsigned needs, json_t *answer)
{
	needs |= d->reload.needs;
	if (d->reload.generation)
		finish(d, refuse(EXIT_FAILURE, "another reload has taken the place of this one"));
	d->reload = (struct reload){
		.needs = needs,
		.generation = d->next->number,
		.until_usec = d->ops->now(d) + patience_usec(d, needs),
		.answer = answer,
		.asked = kind != RELOAD_SIGNAL,
	};
	daemon_arm(d, TIMER_RELOAD, d->reload.until_usec);
}

static uint64_t confirm_usec(const struct generation *next, enum reload_kind kind)
{
	uint64_t usec = (uint64_t)next->plan.confirm_nsec / 1000;

	return usec == 0 && kind == RELOAD_GUARDED ? CONFIRM_USEC : usec;
}

/* Judges what was loaded and takes it where it is possible, and asked for. Returns whether the answer
 * is to be awaited; else *ret is it. */
static bool judge(struct daemon *d, struct generation **next, enum reload_kind kind, json_t **ret)
{
	struct generation *former = latest_of(d);
	json_auto_t *messages = report(former, *next);
	_strbuf_ struct strbuf text = { 0 };
	struct change change;

	if ((*next)->options.diags.n_errors) {
		*ret = reject(*next, messages);
		return false;
	}
	generation_compare(former, *next, &change);
	if (change.refusal) {
		log_event(LOG_LEVEL_ERROR, MSG_CONFIG_REJECTED, NULL, "Not reloaded: %s",
			  change.refusal);
		*ret = refuse(EXIT_FAILURE, change.refusal);
		return false;
	}
	*ret = consent(*next, &change, messages);
	if (!*ret || kind == RELOAD_DRY)
		return false;
	if (change.needs && confirm_usec(*next, kind))
		daemon_guard_reload(d, former, confirm_usec(*next, kind));
	describe(&change, &text);
	log_notice("Reload: %s", strbuf_text(&text));
	daemon_take(d, take_ptr(*next));
	await(d, kind, change.needs, take_ptr(*ret));
	return true;
}

static bool load(struct daemon *d, enum reload_kind kind, json_t **ret)
{
	_cleanup_(generation_freep) struct generation *next = NULL;
	struct error err = { 0 };

	if (d->ops->load(d, latest_of(d), &next, &err) >= 0)
		return judge(d, &next, kind, ret);
	log_error(&err, "Cannot reload");
	*ret = refuse(EXIT_FAILURE, err.text);
	return false;
}

bool daemon_reload(struct daemon *d, enum reload_kind kind, json_t **ret)
{
	bool told = kind != RELOAD_DRY && d->carry.ready, later;

	if (situation_of(d)->wish == WISH_STOP) {
		*ret = refuse(EXIT_FAILURE, "the service is stopping");
		return false;
	}
	if (told)
		notify_reloading(d->ops->now(d));
	later = load(d, kind, ret);
	/* One that is awaited still goes on. */
	if (told && !d->reload.generation)
		notify_ready();
	return later;
}

/* Whether the child serves, if it was to be started again: for this reload, or for what came before. */
static bool child_serves(struct daemon *d, enum child_id id, enum change_need need)
{
	bool latest = id >= d->n_children || daemon_child_is_of(d, id, latest_of(d));

	if (latest && !(d->reload.needs & need))
		return true;
	return latest && proc_of(d, id)->state == PROC_READY;
}

static bool came_true(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	if (d->next || !child_serves(d, CHILD_KUMA_DP, CHANGE_KUMA_DP) ||
	    !child_serves(d, CHILD_CORE_DNS, CHANGE_CORE_DNS))
		return false;
	return s->applied != LEVEL_UNKNOWN && s->applied_generation == s->generation;
}

/* Where there is nothing to wait for but a proxy that went down before, or a start. */
static const char *reason_not_to_wait(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	if (!s->served)
		return "the start goes on with it";
	if (!s->proxy_serving && !(d->reload.needs & (CHANGE_KUMA_DP | CHANGE_CORE_DNS)))
		return "the rules come in when the proxy serves";
	return NULL;
}

static void too_late(struct daemon *d)
{
	const char *missing = d->probe.last.missing;
	_strbuf_ struct strbuf text = { 0 };

	if (d->trouble.why[0])
		strbuf_addf(&text, "the rules are not in yet: %s", d->trouble.why);
	else
		strbuf_addf(&text,
			    "the proxy does not serve with the new configuration yet; missing: %s",
			    missing[0] ? missing : "everything");
	log_warning("Reload: %s", strbuf_text(&text));
	finish(d, refuse(EXIT_FAILURE, strbuf_text(&text)));
	daemon_reload_ended(d);
}

void daemon_reload_look(struct daemon *d)
{
	const char *reason;
	json_t *answer;

	if (!d->reload.generation)
		return;
	if (situation_of(d)->wish == WISH_STOP) {
		finish(d, refuse(EXIT_FAILURE, "the service is stopping"));
		return;
	}
	reason = reason_not_to_wait(d);
	if (reason || came_true(d)) {
		answer = take_ptr(d->reload.answer);
		if (reason)
			(void)json_object_set_new(answer, "note", json_string(reason));
		finish(d, answer);
		daemon_reload_ended(d);
	} else if (d->ops->now(d) >= d->reload.until_usec) {
		too_late(d);
	}
}
