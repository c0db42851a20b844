/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/netfilter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/os/fd.h"
#include "daemon/netfilter/loopback.h"
#include "daemon/netfilter/xt/xt.h"
#include "daemon/netfilter/xt/lock.h"

struct netfilter {
	const struct xt_family *families;
	struct netfilter_report report;
};

/* What is to be done to one table. */
struct job {
	struct xt_table table;
	bool exists, change;
	struct xt_outcome outcome;
	bool done; /* the table is as wanted */
	struct xtc_handle *handle;
	struct xt_state before, want;
};

struct transaction {
	const struct ruleset *rules;
	struct record *record;
	struct record both, next; /* claims: what was and what will be; what will be */
	struct arena arena;
	struct traces traces[FAMILY_COUNT];
	struct job jobs[FAMILY_COUNT][TABLE_COUNT];
};

/* Which tables exist. Opening one to look would create it. Returns 1, or 0 without the module. */
static int list_tables(const struct xt_family *f, bool exists[static TABLE_COUNT],
		       struct error *err)
{
	_fclose_ FILE *file = fopen(f->names_path, "re");
	char line[64];

	memset(exists, 0, TABLE_COUNT * sizeof(*exists));
	if (!file)
		return errno == ENOENT ? 0 : error_sys(err, -errno, "open %s", f->names_path);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		for (enum table t = 0; t < TABLE_COUNT; t++)
			exists[t] = exists[t] || strcmp(line, table_name(t)) == 0;
	}
	if (ferror(file))
		return error_sys(err, -EIO, "read %s", f->names_path);
	return 1;
}

static int wrap_table(const struct xt_table *table, struct error *err, int r)
{
	return error_wrap(err, r, "%s table %s", table->f->name, table_name(table->table));
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

/* Reads what one table holds of ours, and says what is in the way of what it should hold. */
static int survey_table(struct transaction *t, struct job *job, const struct xt_claims *claims,
			struct error *err)
{
	int r;

	if (job->exists) {
		r = xt_open(&job->table, &job->handle, err);
		if (r == 0)
			r = xt_read(&job->table, job->handle, claims, &t->arena, &job->before, err);
		if (r < 0)
			return r;
	}
	if (t->rules->level == LEVEL_NONE)
		keep_referenced(t, job);
	job->change = !xt_state_equal(&job->before, &job->want) ||
		      !xt_state_placed(&job->before, &job->want);
	if (!job->change)
		return 0;
	return xt_check(&job->table, job->handle, &job->before, &job->want, err);
}

static int survey_family(struct transaction *t, const struct xt_family *f, enum family family,
			 enum scope scope, struct error *err)
{
	const struct xt_claims claims = { .record = t->record,
					  .scope = scope,
					  .traces = &t->traces[family] };
	bool exists[TABLE_COUNT];
	int loaded = list_tables(f, exists, err), r;

	if (loaded < 0)
		return loaded;
	if (scope == SCOPE_RECOGNISED) {
		r = xt_learn(f, family, exists, &t->arena, &t->traces[family], err);
		if (r < 0)
			return error_wrap(err, r, "%s", f->name);
	}
	for (enum table n = 0; n < TABLE_COUNT; n++) {
		struct job *job = &t->jobs[family][n];

		job->table = (struct xt_table){ .f = f, .family = family, .table = n };
		job->exists = exists[n];
		r = xt_state_build(&job->table, t->rules, &t->arena, &job->want, err);
		if (r == 0 && !loaded && job->want.n)
			r = error_set(err, -ENOPROTOOPT, "kernel module %s is not loaded",
				      f->module);
		if (r == 0)
			r = survey_table(t, job, &claims, err);
		if (r < 0)
			return wrap_table(&job->table, err, r);
	}
	return 0;
}

static void start_claims(const struct transaction *t, struct record *ret)
{
	*ret = *t->record;
	ret->items = NULL;
	ret->n = 0;
}

/* What will be is claimed first: the order among those of others is right there. */
static int make_claims(struct transaction *t, struct error *err)
{
	struct job *jobs = &t->jobs[0][0];
	int r = 0;

	for (size_t i = 0; i < (size_t)FAMILY_COUNT * TABLE_COUNT && r == 0; i++) {
		r = xt_state_claim(&jobs[i].table, &jobs[i].want, &t->next);
		if (r == 0)
			r = xt_state_claim(&jobs[i].table, &jobs[i].want, &t->both);
	}
	for (size_t i = 0; i < (size_t)FAMILY_COUNT * TABLE_COUNT && r == 0; i++)
		r = xt_state_claim(&jobs[i].table, &jobs[i].before, &t->both);
	return r < 0 ? error_sys(err, r, "claim the rules") : 0;
}

static int change_job(struct transaction *t, struct job *job, const struct xt_claims *claims,
		      const struct xt_claims *touched, struct error *err)
{
	const struct xt_change change = {
		.table = &job->table,
		.claims = claims,
		.claims_touched = touched,
		.want = &job->want,
		.arena = &t->arena,
	};
	struct xtc_handle *handle = job->handle;
	int r;

	job->handle = NULL;
	r = xt_change(&change, handle, &job->before, &job->outcome, err);
	job->done = r == 0;
	return r < 0 ? wrap_table(&job->table, err, r) : r;
}

/* Puts back what a table held. */
static int undo_job(struct transaction *t, struct job *job, struct error *err)
{
	const struct xt_claims either = { .record = &t->both, .trusted = true };
	const struct xt_claims new = { .record = &t->next, .trusted = true };
	const struct xt_change change = {
		.table = &job->table,
		.claims = job->done ? &new : &either,
		.claims_touched = &either,
		.want = &job->before,
		.arena = &t->arena,
	};
	struct xt_outcome outcome;
	int r = job->done ? 0 : xt_is_as_before(&job->table, &job->outcome, &t->arena, err);

	if (r != 0)
		return r < 0 ? r : 0; /* that commit never got through */
	r = xt_change(&change, NULL, NULL, &outcome, err);
	if (r == NETFILTER_BUSY)
		return error_set(err, -EBUSY, "others keep changing it");
	return r;
}

/* In which order: the zones of raw before the redirects of nat that count on them, and the other
 * way when there will be less. */
static void sort_jobs(struct transaction *t, struct job *ret[static FAMILY_COUNT * TABLE_COUNT])
{
	static const enum table orders[2][TABLE_COUNT] = {
		{ TABLE_RAW, TABLE_NAT, TABLE_MANGLE },
		{ TABLE_NAT, TABLE_RAW, TABLE_MANGLE },
	};
	struct job *jobs = &t->jobs[0][0];
	size_t before = 0, want = 0, n = 0;

	for (size_t i = 0; i < (size_t)FAMILY_COUNT * TABLE_COUNT; i++) {
		before += xt_state_count(&jobs[i].before);
		want += xt_state_count(&jobs[i].want);
	}
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		for (size_t i = 0; i < TABLE_COUNT; i++)
			ret[n++] = &t->jobs[f][orders[want < before][i]];
}

/* Undoes the tables that were changed, from the last to the first. */
static int undo(struct transaction *t, struct job *const *jobs, size_t n, struct error *err)
{
	int r = 0;

	while (n-- > 0) {
		struct error why;

		if (!jobs[n]->outcome.touched)
			continue;
		if (undo_job(t, jobs[n], &why) < 0) {
			char first[sizeof(err->text)];

			memcpy(first, err->text, sizeof(first));
			r = error_set(err, why.code, "%.300s; put back %s table %s: %.120s", first,
				      jobs[n]->table.f->name, table_name(jobs[n]->table.table),
				      why.text);
		}
	}
	return r;
}

static bool anything_to_change(const struct transaction *t)
{
	const struct job *jobs = &t->jobs[0][0];

	for (size_t i = 0; i < (size_t)FAMILY_COUNT * TABLE_COUNT; i++)
		if (jobs[i].change)
			return true;
	return false;
}

/* Keeps the new claims, in memory and in the file. A file that claims what is gone does no harm: a
 * disk that is full must not keep the rules in. */
static int keep_claims(struct transaction *t, struct record *claims, struct error *err)
{
	int r = record_save(claims, err);

	if (r < 0 && claims->n > 0)
		return r;
	free(t->record->items);
	t->record->items = take_ptr(claims->items);
	t->record->n = claims->n;
	return 0;
}

/* A chain that was left for others to jump to is not ours any more. */
static int keep_next(struct transaction *t, struct error *err)
{
	if (t->rules->level == LEVEL_NONE)
		t->next.n = 0;
	return keep_claims(t, &t->next, err);
}

static int commit(struct transaction *t, enum scope scope, struct error *err)
{
	const struct xt_claims touched = { .record = &t->both, .trusted = true };
	struct job *jobs[FAMILY_COUNT * TABLE_COUNT];
	struct error late;
	/* What only goes is claimed already. */
	int r = t->rules->level != LEVEL_NONE ? record_save(&t->both, err) : 0;

	if (r < 0)
		return r;
	sort_jobs(t, jobs);
	for (size_t i = 0; i < ELEMENTS(jobs) && r == 0; i++) {
		const struct xt_claims claims = {
			.record = t->record,
			.scope = scope,
			.traces = &t->traces[jobs[i]->table.family],
		};

		if (jobs[i]->change)
			r = change_job(t, jobs[i], &claims, &touched, err);
	}
	if (r == 0)
		r = keep_next(t, err);
	if (r == 0)
		return 0;

	if (r == NETFILTER_BUSY)
		(void)error_set(err, -EBUSY, "others keep changing the rules");
	if (undo(t, jobs, ELEMENTS(jobs), err) < 0) {
		/* Neither the old nor the new state: claim both. */
		if (keep_claims(t, &t->both, &late) < 0)
			return error_wrap(err, err->code, "%s", late.text);
		return err->code;
	}
	/* The old state is back; that the file claims more than that does no harm. */
	if (record_save(t->record, &late) < 0)
		return error_wrap(err, late.code, "%s", late.text);
	return r;
}

static void transaction_done(struct transaction *t)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		for (enum table n = 0; n < TABLE_COUNT; n++)
			if (t->jobs[f][n].handle)
				t->jobs[f][n].table.f->ops->free(t->jobs[f][n].handle);
	free(t->both.items);
	free(t->next.items);
	arena_done(&t->arena);
}

static void make_report(const struct transaction *t, struct netfilter_report *report)
{
	arena_done(&report->arena);
	*report = (struct netfilter_report){ 0 };
	for (enum family f = 0; f < FAMILY_COUNT && t->rules->level == LEVEL_NONE; f++)
		for (enum table n = 0; n < TABLE_COUNT; n++)
			xt_state_report(&t->jobs[f][n].table, &t->jobs[f][n].before,
					&t->jobs[f][n].want, report);
}

static int run_transaction(struct netfilter *nf, struct transaction *t, enum scope scope,
			   bool dry_run, struct error *err)
{
	int r = 0;

	start_claims(t, &t->both);
	start_claims(t, &t->next);
	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		r = survey_family(t, &nf->families[f], f, scope, err);
	if (r < 0)
		return r;
	make_report(t, &nf->report);
	if (dry_run)
		return 0;
	r = make_claims(t, err);
	if (r < 0)
		return r;
	return anything_to_change(t) ? commit(t, scope, err) : keep_next(t, err);
}

static int xt_apply(struct netfilter *nf, const struct ruleset *rules, enum scope scope,
		    struct record *record, struct error *err)
{
	struct transaction t = { .rules = rules, .record = record };
	struct error unread;
	_close_ int lock = -EBADF;
	int r = xtables_lock(&lock, err);

	if (r != 0)
		return r;
	r = run_transaction(nf, &t, scope, false, err ? err : &unread);
	transaction_done(&t);
	return r;
}

static int xt_survey(struct netfilter *nf, const struct ruleset *rules, enum scope scope,
		     struct record *record, struct error *err)
{
	struct transaction t = { .rules = rules, .record = record };
	int r = run_transaction(nf, &t, scope, true, err);

	transaction_done(&t);
	return r;
}

static const struct netfilter_report *xt_report(const struct netfilter *nf)
{
	return &nf->report;
}

static void sum_redirects(const struct xt_table *table, const struct xt_state *state,
			  struct snapshot_table *ret)
{
	for (size_t i = 0; i < state->n; i++) {
		for (size_t n = 0; n < state->items[i].n; n++) {
			const struct xt_rule *rule = &state->items[i].items[n];

			if (strcmp(xt_target(table->f, rule->entry)->u.user.name, "REDIRECT") != 0)
				continue;
			ret->packets += rule->counters.pcnt;
			ret->bytes += rule->counters.bcnt;
		}
	}
}

/* Without a record, what the ruleset says is ours. */
static int read_table(const struct xt_table *table, const struct ruleset *rules,
		      const struct record *record, struct arena *arena, struct snapshot_table *ret,
		      struct error *err)
{
	struct xt_state now = { 0 }, want = { 0 };
	struct xtc_handle *handle = NULL;
	struct record wanted = { 0 };
	struct xt_claims claims = { .record = record, .scope = SCOPE_RECORDED };
	int r = rules ? xt_state_build(table, rules, arena, &want, err) : 0;

	if (r == 0 && !record) {
		claims.record = &wanted;
		claims.trusted = true;
		r = xt_state_claim(table, &want, &wanted);
		if (r < 0)
			r = error_sys(err, r, "claim the rules");
	}
	if (r == 0 && ret->exists)
		r = xt_open(table, &handle, err);
	if (r == 0 && handle)
		r = xt_read(table, handle, &claims, arena, &now, err);
	if (handle)
		table->f->ops->free(handle);
	record_done(&wanted);
	if (r < 0)
		return wrap_table(table, err, r);

	ret->rules = (unsigned)xt_state_count(&now);
	ret->expected = (unsigned)xt_state_count(&want);
	ret->equal = xt_state_equal(&now, &want);
	sum_redirects(table, &now, ret);
	return 0;
}

static int xt_snapshot(struct netfilter *nf, const struct ruleset *rules,
		       const struct record *record, struct snapshot *ret, struct error *err)
{
	struct snapshot snapshot = { 0 };
	struct arena arena = { 0 };
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r >= 0; f++) {
		bool exists[TABLE_COUNT];

		r = list_tables(&nf->families[f], exists, err);
		for (enum table t = 0; t < TABLE_COUNT && r >= 0; t++) {
			const struct xt_table table = { .f = &nf->families[f],
							.family = f,
							.table = t };

			snapshot.table[f][t].exists = exists[t];
			r = read_table(&table, rules, record, &arena, &snapshot.table[f][t], err);
		}
	}
	arena_done(&arena);
	if (r >= 0)
		r = loopback_v6_present(rules && rules->loopback ? rules->loopback : "lo",
					&snapshot.loopback_v6, err);
	if (r < 0)
		return r;
	*ret = snapshot;
	return 0;
}

static int xt_backend_open(struct netfilter **ret, struct error *err)
{
	bool exists[TABLE_COUNT];
	struct netfilter *nf;
	int loaded = 0;

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		int r = list_tables(&xt_families[f], exists, err);

		if (r < 0)
			return r;
		loaded += r;
	}
	if (loaded == 0)
		return NETFILTER_ABSENT;
	nf = calloc(1, sizeof(*nf));
	if (!nf)
		return error_sys(err, -ENOMEM, "open netfilter");
	nf->families = xt_families;
	*ret = nf;
	return 0;
}

static void xt_backend_close(struct netfilter *nf)
{
	arena_done(&nf->report.arena);
	free(nf);
}

const struct netfilter_backend backend_xt = {
	.name = "iptables",
	.open = xt_backend_open,
	.apply = xt_apply,
	.survey = xt_survey,
	.report = xt_report,
	.read = xt_snapshot,
	.close = xt_backend_close,
};
