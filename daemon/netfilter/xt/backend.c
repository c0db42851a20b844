/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/backend.h"

#include <errno.h>
#include <string.h>

#include "daemon/netfilter/xt/change.h"
#include "daemon/netfilter/xt/family.h"
#include "daemon/netfilter/xt/lock.h"
#include "daemon/os/fd.h"

#define JOBS ((size_t)FAMILY_COUNT * TABLE_COUNT)

/* What is to be done to one table. */
struct job {
	struct xt_table table;
	bool exists, change;
	struct xt_look look;
	struct xt_state before, want;
	struct xt_state first; /* all of it, before the first commit */
	bool touched;          /* a commit may have got through */
	bool done;             /* the table is as wanted */
};

struct transaction {
	const struct netfilter_wish *wish;
	const struct record *record;
	bool change;                   /* some table has to */
	struct record was, next, both; /* what was, what will be; both */
	struct arena arena;
	struct traces traces[FAMILY_COUNT];
	struct job jobs[FAMILY_COUNT][TABLE_COUNT];
	const enum table *order;
};

static int wrap_table(const struct xt_table *table, struct error *err, int r)
{
	return error_wrap(err, r, "%s table %s", family_name(table->family),
			  table_name(table->table));
}

static struct xt_proof proof_of(const struct transaction *t, enum family family)
{
	return (struct xt_proof){
		.record = t->record,
		.scope = t->wish->scope,
		.traces = &t->traces[family],
	};
}

/* Whether something of ours may be in the table, or is wanted there. Others' filter rules can be
 * tens of thousands. */
static bool is_of_interest(const struct transaction *t, const struct job *job)
{
	if (t->wish->scope == SCOPE_RECOGNISED || job->want.n)
		return true;
	for (size_t i = 0; i < t->record->n; i++)
		if (t->record->items[i].family == job->table.family &&
		    t->record->items[i].table == job->table.table)
			return true;
	return false;
}

/* Reads everything that is in a family's tables. */
static int read_family(struct transaction *t, enum family family, struct error *err)
{
	struct xt_state all[TABLE_COUNT] = { 0 };

	for (enum table n = 0; n < TABLE_COUNT; n++) {
		struct job *job = &t->jobs[family][n];
		int r, loaded = xt_table_exists(family, table_name(n), &job->exists, err);

		if (loaded < 0)
			return loaded;
		job->table = (struct xt_table){ .family = family, .table = n };
		r = xt_state_build(&job->table, t->wish->rules, &t->arena, &job->want, err);
		if (r == 0 && !loaded && job->want.n)
			r = error_set(err, -ENOPROTOOPT, "kernel module %s is not loaded",
				      xt_families[family].module);
		if (r == 0 && job->exists && is_of_interest(t, job))
			r = xt_look(&job->table, &t->arena, &job->look, err);
		if (r < 0)
			return wrap_table(&job->table, err, r);
		all[n] = job->look.all;
	}
	if (t->wish->scope == SCOPE_RECOGNISED)
		xt_learn(family, all, &t->arena, &t->traces[family]);
	return 0;
}

/* A stop must not leave the redirect in because somebody else jumps into it: such a chain is
 * emptied and stays, and the jump does nothing. */
static void keep_referenced(struct transaction *t, struct job *job)
{
	for (size_t i = 0; i < job->before.references.n; i++) {
		const struct xt_reference *ref = &job->before.references.items[i];
		struct xt_chain chain = { 0 };

		if (xt_state_find(&job->want, ref->target))
			continue;
		memcpy(chain.name, ref->target, sizeof(chain.name));
		array_push(&t->arena, &job->want, chain);
	}
}

/* Tells what of a table is ours, and what is in the way of what it should hold. */
static int survey_table(struct transaction *t, struct job *job, struct error *err)
{
	const struct xt_proof proof = proof_of(t, job->table.family);

	xt_own(&proof, &job->table, &job->look.all, &t->arena, &job->before);
	if (t->wish->rules->level == LEVEL_NONE)
		keep_referenced(t, job);
	if (t->arena.failed)
		return error_sys(err, -ENOMEM, "read");
	job->change = !xt_state_is(&job->before, &job->want);
	if (!job->change)
		return 0;
	t->change = true;
	return xt_change_check(&job->table, &job->look.all, &job->before, &job->want, err);
}

static int survey(struct transaction *t, struct error *err)
{
	struct job *jobs = &t->jobs[0][0];
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		r = read_family(t, f, err);
	for (size_t i = 0; i < JOBS && r == 0; i++) {
		r = survey_table(t, &jobs[i], err);
		if (r < 0)
			r = wrap_table(&jobs[i].table, err, r);
	}
	return r;
}

/* A record like that one, without items. */
static struct record without_items(const struct record *record)
{
	struct record empty = { .path = record->path, .address = record->address };

	memcpy(empty.address_iface, record->address_iface, sizeof(empty.address_iface));
	return empty;
}

/* What will be is listed first: the order among the rules of others is right there. */
static int list_rules(struct transaction *t, struct error *err)
{
	const struct job *jobs = &t->jobs[0][0];

	t->next = without_items(t->record);
	t->both = without_items(t->record);
	for (size_t i = 0; i < JOBS; i++) {
		xt_own_record(&jobs[i].table, &jobs[i].want, &t->next);
		xt_own_record(&jobs[i].table, &jobs[i].before, &t->was);
	}
	record_merge(&t->both, &t->next);
	record_merge(&t->both, &t->was);
	if (t->next.arena.failed || t->was.arena.failed || t->both.arena.failed)
		return error_sys(err, -ENOMEM, "list the rules");
	return 0;
}

static int change_job(struct transaction *t, struct job *job, struct error *err)
{
	const struct xt_proof proof = proof_of(t, job->table.family);
	const struct xt_proof touched = { .record = &t->both, .trusted = true };
	const struct xt_change change = { &job->table, &proof,   &touched,
					  &job->want,  &t->next, &t->arena };
	int r;

	job->first = job->look.all;
	r = xt_change(&change, &job->look, &job->before, &job->touched, err);

	job->done = r == 0;
	return r < 0 ? wrap_table(&job->table, err, r) : r;
}

/* Whether the table is as it was before all: a commit that failed, and could not be looked at then,
 * never got through. */
static int is_untouched(struct transaction *t, const struct job *job, struct error *err)
{
	struct xt_look now = { 0 };
	int r = xt_look(&job->table, &t->arena, &now, err);

	xt_look_close(&job->table, &now);
	return r < 0 ? r : xt_state_same(&now.all, &job->first);
}

/* Puts back what a table held. */
static int undo_job(struct transaction *t, struct job *job, struct error *err)
{
	const struct xt_proof either = { .record = &t->both, .trusted = true };
	const struct xt_proof new = { .record = &t->next, .trusted = true };
	const struct xt_change change = { &job->table, job->done ? &new : &either,
					  &either,     &job->before,
					  &t->was,     &t->arena };
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
	const struct job *jobs = &t->jobs[0][0];
	size_t before = 0, want = 0;

	for (size_t i = 0; i < JOBS; i++) {
		before += xt_state_count(&jobs[i].before);
		want += xt_state_count(&jobs[i].want);
	}
	t->order = orders[want < before];
}

static struct job *job_at(struct transaction *t, size_t n)
{
	return &t->jobs[n / TABLE_COUNT][t->order[n % TABLE_COUNT]];
}

/* Undoes the tables that were changed, from the last to the first. */
static int undo(struct transaction *t, struct error *err)
{
	int r = 0;

	for (size_t n = JOBS; n-- > 0;) {
		struct job *job = job_at(t, n);
		const struct error first = *err;
		struct error why;

		if (job->touched && undo_job(t, job, &why) < 0)
			r = error_set(err, why.code, "%.300s; put back %s table %s: %.120s",
				      first.text, family_name(job->table.family),
				      table_name(job->table.table), why.text);
	}
	return r;
}

/* Keeps another list, in memory and in the file. A file that lists what is gone does no harm: a
 * disk that is full must not keep the rules in. */
static int keep(struct record *record, struct record *list, struct error *err)
{
	int r = record_save(list, err);

	if (r < 0 && list->n > 0)
		return r;
	record_done(record);
	*record = *list;
	*list = (struct record){ 0 };
	return 0;
}

/* A chain that was left for others to jump to is not ours any more. */
static int keep_next(struct transaction *t, struct record *record, struct error *err)
{
	if (t->wish->rules->level == LEVEL_NONE)
		t->next.n = 0;
	return keep(record, &t->next, err);
}

static int commit(struct transaction *t, struct record *record, struct error *err)
{
	struct error late;
	/* What only goes is listed already. */
	int r = t->wish->rules->level != LEVEL_NONE ? record_save(&t->both, err) : 0;

	if (r < 0)
		return r;
	choose_order(t);
	for (size_t i = 0; i < JOBS && r == 0; i++)
		if (job_at(t, i)->change)
			r = change_job(t, job_at(t, i), err);
	if (r == 0)
		r = keep_next(t, record, err);
	if (r == 0)
		return 0;

	if (r == NETFILTER_BUSY)
		(void)error_set(err, -EBUSY, "others keep changing the rules");
	if (undo(t, err) < 0) {
		/* Neither the old nor the new state: claim both. */
		if (keep(record, &t->both, &late) < 0)
			return error_wrap(err, err->code, "%s", late.text);
		return err->code;
	}
	/* The old state is back; that the file claims more than that does no harm. */
	if (record_save(record, &late) < 0)
		return error_wrap(err, late.code, "%s", late.text);
	return r;
}

static void transaction_done(struct transaction *t)
{
	struct job *jobs = &t->jobs[0][0];

	for (size_t i = 0; i < JOBS; i++)
		xt_look_close(&jobs[i].table, &jobs[i].look);
	record_done(&t->was);
	record_done(&t->next);
	record_done(&t->both);
	arena_done(&t->arena);
}

static void report(const struct transaction *t, struct netfilter_report *ret)
{
	const struct job *jobs = &t->jobs[0][0];

	for (size_t i = 0; ret && i < JOBS && t->wish->rules->level == LEVEL_NONE; i++)
		xt_state_report(&jobs[i].table, &jobs[i].before, &jobs[i].want, ret);
}

static int run(struct transaction *t, struct record *record, struct error *err)
{
	int r = survey(t, err);

	if (r < 0 || t->wish->dry_run)
		return r;
	r = list_rules(t, err);
	if (r < 0)
		return r;
	return t->change ? commit(t, record, err) : keep_next(t, record, err);
}

static int backend_apply(const struct netfilter_wish *wish, struct record *record,
			 struct netfilter_report *ret, struct error *err)
{
	_cleanup_(transaction_done) struct transaction t = { .wish = wish, .record = record };
	struct error unread;
	_close_ int lock = -EBADF;
	int r = wish->dry_run ? 0 : xtables_lock(&lock, err);

	if (r == 0)
		r = run(&t, record, err ? err : &unread); /* undoing adds to what it says */
	if (r == 0)
		report(&t, ret);
	return r;
}

static void sum_redirects(const struct xt_table *table, const struct xt_state *state,
			  struct snapshot_table *ret)
{
	for (size_t i = 0; i < state->n; i++) {
		for (size_t n = 0; n < state->items[i].n; n++) {
			const struct xt_rule *rule = &state->items[i].items[n];

			if (strcmp(xt_rule_target(table->family, rule), "REDIRECT") != 0)
				continue;
			ret->packets += rule->counters.pcnt;
			ret->bytes += rule->counters.bcnt;
		}
	}
}

static int compare(struct transaction *t, struct snapshot *ret, struct error *err)
{
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++) {
		r = read_family(t, f, err);
		for (enum table n = 0; n < TABLE_COUNT && r == 0; n++) {
			const struct xt_proof proof = proof_of(t, f);
			struct snapshot_table *table = &ret->table[f][n];
			struct job *job = &t->jobs[f][n];

			xt_own(&proof, &job->table, &job->look.all, &t->arena, &job->before);
			table->exists = job->exists;
			table->rules = (unsigned)xt_state_count(&job->before);
			table->expected = (unsigned)xt_state_count(&job->want);
			table->equal = xt_state_equal(&job->before, &job->want);
			sum_redirects(&job->table, &job->before, table);
		}
	}
	return r == 0 && t->arena.failed ? error_sys(err, -ENOMEM, "read the rules") : r;
}

static int backend_read(const struct ruleset *rules, const struct record *record,
			struct snapshot *ret, struct error *err)
{
	const struct netfilter_wish wish = { .rules = rules };
	_cleanup_(transaction_done) struct transaction t = { .wish = &wish, .record = record };
	struct snapshot snapshot = { 0 };
	int r = compare(&t, &snapshot, err);

	if (r == 0)
		*ret = snapshot;
	return r;
}

static int backend_ready(struct error *err)
{
	_close_ int lock = -EBADF;

	return xtables_lock(&lock, err);
}

static int backend_find(struct error *err)
{
	int loaded = 0;

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		bool exists;
		int r = xt_table_exists(f, "nat", &exists, err);

		if (r < 0)
			return r;
		loaded += r;
	}
	if (loaded > 0)
		return 0;
	(void)error_set(err, -EOPNOTSUPP, "this host has no legacy netfilter tables");
	return NETFILTER_ABSENT;
}

const struct netfilter_backend backend_xt = {
	.name = "iptables",
	.prepare = xtables_lock_prepare,
	.find = backend_find,
	.ready = backend_ready,
	.apply = backend_apply,
	.read = backend_read,
};
