/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verdict: whether all is well, else what is wrong and what an operator can do about it. */

#include "daemon/loop/state.h"
#include "daemon/loop/status.h"

#define SEE_JOURNAL "'journalctl -u tproxyd' has what kuma-dp and Envoy say"

/* What does not serve; before anything was asked, everything. */
static const char *missing_of(const struct daemon *d)
{
	return d->probe.last.missing[0] ? d->probe.last.missing : "kuma-dp";
}

static void judge_apply(struct daemon *d, struct strbuf *problem, struct strbuf *advice)
{
	strbuf_addf(problem, "the rules cannot be %s: %s",
		    situation_of(d)->wish == WISH_STOP ? "taken out" : "put in",
		    d->trouble.why[0] ? d->trouble.why : "not tried yet");
	strbuf_add(advice, d->trouble.busy ? "tproxyd goes on trying; 'fuser -v /run/xtables.lock' "
					     "shows who has the lock"
					   : "tproxyd goes on trying; 'journalctl -u tproxyd' has "
					     "more");
}

/* What is in the kernel is not what was put there. */
static void judge_rules(const struct daemon *d, const json_t *answer, struct strbuf *problem,
			struct strbuf *advice)
{
	const json_t *rules = json_object_get(answer, "rules"), *table;
	const char *why = json_string_value(json_object_get(rules, "error"));
	size_t i;

	if (json_is_true(json_object_get(rules, "as-expected")))
		return;
	if (why && *why) {
		strbuf_addf(problem, "the rules cannot be read: %s", why);
		strbuf_add(advice, "'journalctl -u tproxyd' says more");
		return;
	}
	strbuf_addf(problem,
		    "%s changed the rules: ", d->drift.whom[0] ? d->drift.whom : "another program");
	json_array_foreach(json_object_get(rules, "missing"), i, table)
		strbuf_addf(problem, "%s%s", i ? ", " : "", json_string_value(table));
	strbuf_add(advice, "tproxyd puts them right; 'journalctl -u tproxyd' says how often");
}

static void judge_degraded(struct daemon *d, struct strbuf *problem, struct strbuf *advice)
{
	bool dns = situation_of(d)->applied == LEVEL_NO_DNS;

	strbuf_addf(problem, "%s%s",
		    dns ? "DNS goes direct, because this does not answer: "
			: "all is redirected, but this does not answer: ",
		    missing_of(d));
	strbuf_addf(advice, "%s" SEE_JOURNAL,
		    dns ? "names of the mesh do not resolve until it does; " : "");
}

static void judge_start(struct daemon *d, struct strbuf *problem)
{
	char missing[200];

	say_missing(d, missing, sizeof(missing));
	strbuf_addf(problem, "waiting for %s", missing);
}

static void judge_hold(struct daemon *d, struct strbuf *problem, struct strbuf *advice)
{
	uint64_t until = situation_of(d)->hold_until_usec;
	char wait[200];

	say_wait(d, wait, sizeof(wait));
	strbuf_addf(problem, "the proxy does not serve: %s; new connections wait or fail", wait);
	if (until == USEC_NEVER)
		strbuf_add(advice, "held without end (failure.holdRules); ");
	else
		strbuf_addf(advice, "traffic goes direct in %llu s, unless it serves before; ",
			    (unsigned long long)daemon_seconds_until(d, until));
	strbuf_add(advice, SEE_JOURNAL);
}

static void judge_confirmation(struct daemon *d, struct strbuf *advice)
{
	uint64_t seconds = daemon_confirm_sec(d);

	if (seconds > 0)
		strbuf_addf(advice, "%srun 'tproxyd confirm' within %llu s, or the %s",
			    advice->len ? "; " : "", (unsigned long long)seconds,
			    situation_of(d)->confirm_until_usec != USEC_NEVER
				    ? "redirect is released again"
				    : "former configuration comes back");
}

static void judge_release(struct daemon *d, struct strbuf *problem, struct strbuf *advice)
{
	char wait[200];

	if (unconfirmed(situation_of(d))) {
		strbuf_add(problem, "traffic goes direct, because nobody confirmed the redirect in "
				    "time (safety.confirm)");
		strbuf_add(advice, "'tproxyd confirm' brings it back");
		return;
	}
	say_wait(d, wait, sizeof(wait));
	strbuf_addf(problem, "traffic goes direct, because the proxy does not serve: %s", wait);
	strbuf_add(advice, "redirected again as soon as it serves; " SEE_JOURNAL);
}

static void judge(struct daemon *d, const json_t *answer, struct strbuf *problem,
		  struct strbuf *advice)
{
	switch (d->phase.is) {
	case PHASE_STARTING:
		judge_start(d, problem);
		strbuf_add(advice, SEE_JOURNAL);
		break;
	case PHASE_APPLYING:
		judge_apply(d, problem, advice);
		break;
	case PHASE_DEGRADED:
		judge_degraded(d, problem, advice);
		break;
	case PHASE_HOLDING:
		judge_hold(d, problem, advice);
		break;
	case PHASE_RELEASED:
		judge_release(d, problem, advice);
		break;
	case PHASE_DRAINING:
		strbuf_add(problem, "stopping: new connections go direct");
		strbuf_add(advice, "'systemctl kill -s TERM --kill-whom=main tproxyd' ends it now");
		break;
	case PHASE_STOPPING:
	case PHASE_STOPPED:
		if (situation_of(d)->applied != LEVEL_NONE)
			judge_apply(d, problem, advice);
		else
			strbuf_add(problem, "the proxy is ending; traffic goes direct");
		break;
	case PHASE_REDIRECTING:
		judge_rules(d, answer, problem, advice);
		judge_confirmation(d, advice);
		break;
	case PHASE_COUNT:
		break;
	}
}

/* While held: how long yet. */
static json_t *hold(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	if (d->phase.is != PHASE_HOLDING)
		return json_null();
	if (s->hold_until_usec == USEC_NEVER)
		return json_pack("{s:n}", "seconds-left");
	return json_pack("{s:I}", "seconds-left",
			 (json_int_t)daemon_seconds_until(d, s->hold_until_usec));
}

static json_t *drain(struct daemon *d)
{
	if (d->phase.is != PHASE_DRAINING)
		return json_null();
	return json_pack("{s:I}", "seconds-left", (json_int_t)daemon_drain_sec(d));
}

int status_add_verdict(json_t *answer, struct daemon *d)
{
	_strbuf_ struct strbuf problem = { 0 }, advice = { 0 };

	judge(d, answer, &problem, &advice);
	if (problem.failed || advice.failed ||
	    json_object_set_new(answer, "healthy", json_boolean(problem.len == 0)) < 0 ||
	    json_object_set_new(answer, "problem", json_text(strbuf_text(&problem))) < 0 ||
	    json_object_set_new(answer, "advice", json_text(strbuf_text(&advice))) < 0 ||
	    json_object_set_new(answer, "hold", hold(d)) < 0)
		return -1;
	return json_object_set_new(answer, "drain", drain(d));
}
