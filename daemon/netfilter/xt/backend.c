/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/backend.h"

#include <errno.h>

#include "common/rules/print_restore.h"
#include "daemon/netfilter/xt/change.h"
#include "daemon/netfilter/xt/compare.h"
#include "daemon/netfilter/xt/family.h"
#include "daemon/netfilter/xt/lock.h"
#include "daemon/netfilter/xt/survey.h"
#include "daemon/os/fd.h"

struct transaction {
	struct xt_survey survey;
	struct record was, next, both; /* what was, what will be; both */
	const enum table *order;
};

/* Whether anything has to change; an error where something of others is in the way. */
static int survey(struct transaction *t, bool *ret_change, struct error *err)
{
	const struct xt_job *jobs = &t->survey.jobs[0][0];
	int r = xt_survey(&t->survey, err);

	*ret_change = false;
	for (size_t i = 0; i < XT_JOBS && r == 0; i++) {
		const struct xt_job *job = &jobs[i];

		if (!job->change)
			continue;
		*ret_change = true;
		r = xt_change_check(&job->table, &job->look.all, &job->before, &job->want, err);
		if (r < 0)
			r = xt_wrap_table(&job->table, err, r);
	}
	return r;
}

/* What will be is listed first: the order among the rules of others is right there. */
static int list_rules(struct transaction *t, struct error *err)
{
	const struct xt_job *jobs = &t->survey.jobs[0][0];

	record_begin(t->survey.record, RECORD_XT_KINDS, &t->next);
	record_begin(t->survey.record, RECORD_XT_KINDS, &t->both);
	for (size_t i = 0; i < XT_JOBS; i++) {
		xt_own_record(&jobs[i].table, &jobs[i].want, &t->next);
		xt_own_record(&jobs[i].table, &jobs[i].before, &t->was);
	}
	record_merge(&t->both, &t->next);
	record_merge(&t->both, &t->was);
	if (t->next.arena.failed || t->was.arena.failed || t->both.arena.failed)
		return error_sys(err, -ENOMEM, "list the rules");
	return 0;
}

static int change_job(struct transaction *t, struct xt_job *job, struct error *err)
{
	const struct xt_proof proof = xt_survey_proof(&t->survey, job->table.family);
	const struct xt_proof touched = { .record = &t->both, .trusted = true };
	const struct xt_change change = { &job->table, &proof,   &touched,
					  &job->want,  &t->next, &t->survey.arena };
	int r;

	job->first = job->look.all;
	r = xt_change(&change, &job->look, &job->before, &job->touched, err);

	job->done = r == 0;
	return r < 0 ? xt_wrap_table(&job->table, err, r) : r;
}

/* Whether the table is as it was before all: a commit that failed, and could not be looked at then,
 * never got through. */
static int is_untouched(struct transaction *t, const struct xt_job *job, struct error *err)
{
	struct xt_look now = { 0 };
	int r = xt_look(&job->table, &t->survey.arena, &now, err);

	xt_look_close(&job->table, &now);
	return r < 0 ? r : xt_state_same(&now.all, &job->first);
}

/* Puts back what a table held. */
static int undo_job(struct transaction *t, struct xt_job *job, struct error *err)
{
	const struct xt_proof either = { .record = &t->both, .trusted = true };
	const struct xt_proof new = { .record = &t->next, .trusted = true };
	const struct xt_change change = { &job->table, job->done ? &new : &either,
					  &either,     &job->before,
					  &t->was,     &t->survey.arena };
	bool touched;
	int r = job->done ? 0 : is_untouched(t, job, err);

	if (r != 0)
		return r < 0 ? r : 0;
	r = xt_change(&change, &job->look, NULL, &touched, err);
	return r == NETFILTER_BUSY ? error_set(err, -EBUSY, "others keep changing it") : r;
}

/* In which order: the zones of raw before the redirects of nat that count on them, and the other
 * way when there will be less. */
static void choose_order(struct transaction *t)
{
	static const enum table orders[2][TABLE_COUNT] = {
		{ TABLE_RAW, TABLE_NAT, TABLE_MANGLE, TABLE_FILTER },
		{ TABLE_NAT, TABLE_RAW, TABLE_MANGLE, TABLE_FILTER },
	};
	const struct xt_job *jobs = &t->survey.jobs[0][0];
	size_t before = 0, want = 0;

	for (size_t i = 0; i < XT_JOBS; i++) {
		before += xt_state_count(&jobs[i].before);
		want += xt_state_count(&jobs[i].want);
	}
	t->order = orders[want < before];
}

static struct xt_job *job_at(struct transaction *t, size_t n)
{
	return &t->survey.jobs[n / TABLE_COUNT][t->order[n % TABLE_COUNT]];
}

/* Undoes the tables that were changed, from the last to the first. */
static int undo(struct transaction *t, struct error *err)
{
	int r = 0;

	for (size_t n = XT_JOBS; n-- > 0;) {
		struct xt_job *job = job_at(t, n);
		const struct error first = *err;
		struct error why;

		if (job->touched && undo_job(t, job, &why) < 0)
			r = error_set(err, why.code, "%.300s; put back %s table %s: %.120s",
				      first.text, family_name(job->table.family),
				      table_name(job->table.table), why.text);
	}
	return r;
}

/* Takes another list in place of the one in memory. */
static void adopt(struct record *record, struct record *list)
{
	record_done(record);
	*record = *list;
	*list = (struct record){ 0 };
}

/* Keeps another list, in memory and in the file. A file that lists what is gone does no harm: a
 * disk that is full must not keep the rules in. */
static int keep(struct record *record, struct record *list, struct error *err)
{
	int r = record_save(list, err);

	if (r < 0 && list->n > 0)
		return r;
	adopt(record, list);
	return 0;
}

/* A chain that was left for others to jump to is not ours any more. */
static int keep_next(struct transaction *t, struct record *record, struct error *err)
{
	if (t->survey.wish->rules->level == LEVEL_NONE) {
		record_done(&t->next);
		record_begin(record, RECORD_XT_KINDS, &t->next);
	}
	return keep(record, &t->next, err);
}

static int commit(struct transaction *t, struct record *record, struct error *err)
{
	struct error late;
	/* What only goes is listed already. */
	int r = t->survey.wish->rules->level != LEVEL_NONE ? record_save(&t->both, err) : 0;

	if (r < 0)
		return r;
	choose_order(t);
	for (size_t i = 0; i < XT_JOBS && r == 0; i++)
		if (job_at(t, i)->change)
			r = change_job(t, job_at(t, i), err);
	if (r == 0)
		r = keep_next(t, record, err);
	if (r == 0)
		return 0;

	if (r == NETFILTER_BUSY)
		(void)error_set(err, -EBUSY, "others keep changing the rules");
	if (undo(t, err) < 0) {
		/* Neither the old nor the new state: claim both, also with what is saved later,
		 * whatever becomes of the file now. */
		r = record_save(&t->both, &late);
		adopt(record, &t->both);
		return r < 0 ? error_wrap(err, err->code, "%s", late.text) : err->code;
	}
	/* The old state is back; that the file claims more than that does no harm. */
	if (record_save(record, &late) < 0)
		return error_wrap(err, late.code, "%s", late.text);
	return r;
}

static void transaction_done(struct transaction *t)
{
	xt_survey_done(&t->survey);
	record_done(&t->was);
	record_done(&t->next);
	record_done(&t->both);
}

static void report(const struct transaction *t, struct netfilter_report *ret)
{
	const struct xt_job *jobs = &t->survey.jobs[0][0];

	for (size_t i = 0; ret && i < XT_JOBS && t->survey.wish->rules->level == LEVEL_NONE; i++)
		xt_state_report(&jobs[i].table, &jobs[i].before, &jobs[i].want, ret);
}

static int run(struct transaction *t, struct record *record, struct error *err)
{
	bool change;
	int r = survey(t, &change, err);

	if (r < 0 || t->survey.wish->dry_run)
		return r;
	r = list_rules(t, err);
	if (r < 0)
		return r;
	return change ? commit(t, record, err) : keep_next(t, record, err);
}

static int backend_apply(const struct netfilter_wish *wish, struct record *record,
			 struct netfilter_report *ret, struct error *err)
{
	_cleanup_(transaction_done) struct transaction t = {
		.survey = { .wish = wish, .record = record },
	};
	struct error unread;
	_close_ int lock = -EBADF;
	int r = wish->dry_run ? 0 : xtables_lock(&lock, err);

	if (r == 0)
		r = run(&t, record, err ? err : &unread); /* undoing adds to what it says */
	if (r == 0)
		report(&t, ret);
	return r;
}

static int backend_ready(struct error *err)
{
	_close_ int lock = -EBADF;

	return xtables_lock(&lock, err);
}

static int backend_find(struct error *err)
{
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		r = xt_loaded(f, err);
	if (r != 0)
		return r < 0 ? r : 0;
	(void)error_set(err, -EOPNOTSUPP, "this host has no legacy netfilter tables");
	return NETFILTER_ABSENT;
}

const struct netfilter_backend backend_xt = {
	.name = "iptables",
	.kinds = RECORD_XT_KINDS,
	.probe = xt_probe,
	.print = print_dry_run,
	.prepare = xtables_lock_prepare,
	.find = backend_find,
	.ready = backend_ready,
	.apply = backend_apply,
	.read = xt_compare_read,
	.differs = xt_compare_differs,
	.sizes = xt_compare_sizes,
};
