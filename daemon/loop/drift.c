/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What others do to the rules. Where something tells that they may have changed them, and now and
 * then anyway, what is in is held against what was put in. A difference is a fact for the step,
 * which then applies the same rules once more: in one commit that leaves what is not ours alone.
 */

#include <stdio.h>

#include "common/base/utf8.h"
#include "daemon/loop/state.h"
#include "daemon/operator/log.h"
#include "daemon/operator/messages.h"

#define SECOND ((uint64_t)1000 * 1000)

/* Sizes are compared every second round of probes, which wakes the step anyway. */
#define SIZES_USEC (4 * SECOND - SECOND / 10)
/* Between two looks at all rules: they take one part in twenty of a processor at most while programs
 * work on theirs without a pause, and one in a thousand while nothing happens. */
#define LOOK_USEC  (SECOND / 10)
#define LOOK_SHARE 20
#define IDLE_SHARE 1000
/* And so often at least, whatever tells of nothing. */
#define IDLE_USEC (60 * SECOND)
/* After a look that failed. */
#define AGAIN_USEC SECOND

void daemon_disturbed(struct daemon *d, const char *whom)
{
	d->drift.suspected = true;
	if (whom)
		utf8_print(d->drift.whom, sizeof(d->drift.whom), "%s", whom);
	d->ops->wake(d);
}

void daemon_tables_changed(struct daemon *d, const char *whom)
{
	d->drift.tables = true;
	utf8_print(d->drift.writer, sizeof(d->drift.writer), "%s", whom ? whom : "");
	d->ops->wake(d);
}

/* Whose rules are in, to be made by which apply. */
struct netfilter_wish daemon_wish(const struct daemon *d, const struct generation *generation,
				  enum level level)
{
	const struct situation *s = &d->carry.situation;

	/* What comes back after a repair may be of an older configuration, or of kumactl. */
	return (struct netfilter_wish){
		.rules = &generation->rules[level],
		.scope = level == LEVEL_FULL || s->disturbed ? SCOPE_RECOGNISED : SCOPE_RECORDED,
		.trusted = s->disturbed,
	};
}

static void look_at(struct daemon *d, uint64_t usec)
{
	d->drift.suspected = true;
	d->drift.look_usec = usec;
	daemon_arm(d, TIMER_DRIFT, usec);
}

/* What is in is not what was put in. */
static void found(struct daemon *d, const char *difference)
{
	struct situation *s = situation_of(d);
	uint64_t next = repairs_next(&d->drift.repairs);

	if (!s->disturbed)
		d->drift.since_usec = s->now_usec;
	s->disturbed = true;
	s->repair_usec = next > s->now_usec ? next : s->now_usec;
	utf8_print(d->drift.found, sizeof(d->drift.found), "%s", difference);
	if (s->repair_usec > s->now_usec)
		look_at(d, s->repair_usec);
}

static void as_expected(struct daemon *d)
{
	situation_of(d)->disturbed = false;
	d->drift.found[0] = d->drift.whom[0] = '\0';
}

static int differs(struct daemon *d, struct strbuf *difference, struct error *err)
{
	struct situation *s = situation_of(d);
	struct netfilter_wish wish;
	bool disturbed = s->disturbed;
	int r;

	s->disturbed = true;
	wish = daemon_wish(d, d->applied ? d->applied : d->current, s->applied);
	s->disturbed = disturbed;
	/* First the sizes: what changes between the two looks shows in the next one. */
	r = d->redirect.backend->sizes(&d->redirect.record, &d->drift.sizes, err);
	return r < 0 ? r : redirect_differs(&d->redirect, &wish, difference, err);
}

static void look(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	_strbuf_ struct strbuf difference = { 0 };
	uint64_t began = d->ops->cpu(d), took, idle;
	struct error err = { 0 };
	int r;

	daemon_arm(d, TIMER_DRIFT, USEC_NEVER);
	d->drift.suspected = false;
	r = differs(d, &difference, &err);
	took = d->ops->cpu(d) - began;
	d->drift.look_usec = s->now_usec + LOOK_USEC + took * LOOK_SHARE;
	idle = took * IDLE_SHARE > IDLE_USEC ? took * IDLE_SHARE : IDLE_USEC;
	d->drift.idle_usec = s->now_usec + idle;
	if (r < 0 || difference.failed) {
		if (!d->drift.blind)
			log_error(&err, "Cannot tell whether others have changed the rules");
		look_at(d, s->now_usec + AGAIN_USEC);
	} else if (difference.len) {
		found(d, strbuf_text(&difference));
	} else {
		as_expected(d);
	}
	d->drift.blind = r < 0;
}

/* Who takes no lock and tells nobody shows in the sizes of the tables, or in the rules. */
static bool sizes_differ(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	uint64_t sizes;

	if (s->now_usec < d->drift.sizes_usec)
		return false;
	d->drift.sizes_usec = s->now_usec + SIZES_USEC;
	d->ops->listen_again(d);
	return s->now_usec >= d->drift.idle_usec ||
	       d->redirect.backend->sizes(&d->redirect.record, &sizes, NULL) < 0 ||
	       sizes != d->drift.sizes;
}

/* Whether nat rules of others that may come before ours have come to nf_tables since the start. */
static bool foreign_has_come(struct daemon *d)
{
	const struct facts *at_start = &d->current->facts;

	if (d->redirect.backend->in_tables)
		return d->ops->foreign_first() < at_start->nft_nat_first;
	return !at_start->nft_nat_foreign && d->ops->foreign();
}

/* nf_tables: kumactl's redirect there would be a second one, and who has nat rules there may come before
 * us. */
static void look_at_tables(struct daemon *d)
{
	const struct situation *s = situation_of(d);
	const char *whom = d->drift.writer[0] ? d->drift.writer : NULL;
	uint64_t began = d->ops->cpu(d), next = 0;

	if (s->now_usec < d->drift.tables_usec) {
		daemon_arm(d, TIMER_TABLES, d->drift.tables_usec);
		return;
	}
	d->drift.tables = false;
	if (d->ops->take_over(whom)) {
		(void)repairs_made(&d->drift.takeovers, s->now_usec);
		next = repairs_next(&d->drift.takeovers);
	}
	if (!d->drift.told_foreign && foreign_has_come(d)) {
		d->drift.told_foreign = true;
		log_event(LOG_LEVEL_WARNING, MSG_FOREIGN_RULES, NULL,
			  "nat rules of others are in nf_tables now, last changed by %s: they %s",
			  whom ? whom : "another program",
			  d->redirect.backend->in_tables
				  ? "come before ours, and what they redirect does not reach these"
				  : "may come before ours in the legacy tables");
	}
	d->drift.tables_usec = s->now_usec + LOOK_USEC + (d->ops->cpu(d) - began) * LOOK_SHARE;
	if (d->drift.tables_usec < next)
		d->drift.tables_usec = next;
}

void daemon_look(struct daemon *d)
{
	const struct situation *s = situation_of(d);

	/* Before the first service kumactl's rules stay; what is to be changed is looked at then. */
	if (!s->served || s->applied == LEVEL_UNKNOWN || wanted_level(s) != s->applied ||
	    (must_apply(s) && !s->disturbed))
		return;
	if (d->drift.tables && s->applied == LEVEL_FULL && s->proxy_serving)
		look_at_tables(d);
	if (sizes_differ(d))
		d->drift.suspected = true;
	if (!d->drift.suspected)
		return;
	if (s->now_usec >= d->drift.look_usec)
		look(d);
	else if (!d->armed[TIMER_DRIFT])
		daemon_arm(d, TIMER_DRIFT, d->drift.look_usec);
}

static void say_repaired(struct daemon *d, enum repair_news news)
{
	const struct situation *s = situation_of(d);
	uint64_t late_sec = (s->now_usec - d->drift.since_usec) / SECOND;
	const char *whom = d->drift.whom;
	char count[48], late[48] = "";
	const char *const fields[] = { count, NULL };

	(void)snprintf(count, sizeof(count), "TPROXYD_REPAIRS=%u", d->drift.repairs.n);
	if (late_sec > 0)
		(void)snprintf(late, sizeof(late), " after %llu s", (unsigned long long)late_sec);
	log_event(LOG_LEVEL_WARNING, MSG_RULES_REPAIRED, fields,
		  "Put the rules right%s, which %s had changed: %s", late,
		  whom[0] ? whom : "another program", d->drift.found);
	if (news == REPAIR_FIGHT)
		log_event(
			LOG_LEVEL_ERROR, MSG_RULES_CONTESTED, fields,
			"Another program keeps changing the rules: they are put right after ever "
			"longer pauses, up to 30 s, in which traffic may go direct. Find it, and end "
			"it or this service");
}

void daemon_repaired(struct daemon *d)
{
	struct situation *s = situation_of(d);

	/* Our own change shows too, and is looked at like any other. */
	d->drift.suspected = true;
	if (!s->disturbed)
		return;
	say_repaired(d, repairs_made(&d->drift.repairs, s->now_usec));
	as_expected(d);
}
