/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/survey.h"

#include <errno.h>
#include <string.h>

#include "daemon/netfilter/xt/family.h"

int xt_wrap_table(const struct xt_table *table, struct error *err, int r)
{
	return error_wrap(err, r, "%s table %s", family_name(table->family),
			  table_name(table->table));
}

struct xt_proof xt_survey_proof(const struct xt_survey *survey, enum family family)
{
	return (struct xt_proof){
		.record = survey->record,
		.scope = survey->wish->scope,
		.trusted = survey->wish->trusted,
		.traces = &survey->traces[family],
	};
}

bool xt_recorded(const struct record *record, const struct xt_table *table)
{
	for (size_t i = 0; i < record->n; i++)
		if (record->items[i].family == table->family &&
		    record->items[i].table == table->table)
			return true;
	return false;
}

/* Whether something of ours may be in the table, or is wanted there. Others' filter rules can be
 * tens of thousands. */
static bool is_of_interest(const struct xt_survey *survey, const struct xt_job *job)
{
	if (job->want.n || xt_recorded(survey->record, &job->table))
		return true;
	return survey->wish->scope == SCOPE_RECOGNISED &&
	       (!survey->narrow || job->table.table == TABLE_NAT);
}

/* Reads everything that is in a family's tables. */
static int read_family(struct xt_survey *survey, enum family family, struct error *err)
{
	struct xt_state all[TABLE_COUNT] = { 0 };
	unsigned tables;
	int loaded = xt_tables(family, &tables, err);

	if (loaded < 0)
		return loaded;
	for (enum table n = 0; n < TABLE_COUNT; n++) {
		struct xt_job *job = &survey->jobs[family][n];
		int r;

		job->table = (struct xt_table){ .family = family, .table = n };
		job->exists = tables & 1U << n;
		r = xt_state_build(&job->table, survey->wish->rules, &survey->arena, &job->want,
				   err);
		if (r == 0 && !loaded && job->want.n)
			r = error_set(err, -ENOPROTOOPT, "kernel module %s is not loaded",
				      xt_families[family].module);
		if (r == 0 && job->exists && is_of_interest(survey, job))
			r = xt_look(&job->table, &survey->arena, &job->look, err);
		if (r < 0)
			return xt_wrap_table(&job->table, err, r);
		all[n] = job->look.all;
	}
	if (survey->wish->scope == SCOPE_RECOGNISED)
		xt_learn(family, all, &survey->arena, &survey->traces[family]);
	return 0;
}

/* A stop must not leave the redirect in because somebody else jumps into it: such a chain is
 * emptied and stays, and the jump does nothing. */
static void keep_referenced(struct xt_job *job, struct arena *arena)
{
	for (size_t i = 0; i < job->before.references.n; i++) {
		const struct xt_reference *ref = &job->before.references.items[i];
		struct xt_chain chain = { 0 };

		if (xt_state_find(&job->want, ref->target))
			continue;
		memcpy(chain.name, ref->target, sizeof(chain.name));
		array_push(arena, &job->want, chain);
	}
}

int xt_survey(struct xt_survey *survey, struct error *err)
{
	struct xt_job *jobs = &survey->jobs[0][0];
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		r = read_family(survey, f, err);
	for (size_t i = 0; i < XT_JOBS && r == 0; i++) {
		struct xt_job *job = &jobs[i];
		const struct xt_proof proof = xt_survey_proof(survey, job->table.family);

		xt_own(&proof, &job->table, &job->look.all, &survey->arena, &job->before);
		if (survey->wish->rules->level == LEVEL_NONE)
			keep_referenced(job, &survey->arena);
		if (survey->arena.failed)
			return error_sys(err, -ENOMEM, "read the rules");
		job->change = !xt_state_is(&job->before, &job->want);
	}
	return r;
}

void xt_survey_done(struct xt_survey *survey)
{
	struct xt_job *jobs = &survey->jobs[0][0];

	for (size_t i = 0; i < XT_JOBS; i++)
		xt_look_close(&jobs[i].table, &jobs[i].look);
	arena_done(&survey->arena);
}
