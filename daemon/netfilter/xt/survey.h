/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* All tables of both families: what of them is ours, and what a ruleset wants there. */

#include "daemon/netfilter/xt/own.h"

struct xt_job {
	struct xt_table table;
	bool exists, change; /* the table does; it is not as wanted */
	struct xt_look look; /* open still, for who wants to change it */
	struct xt_state before, want;
	struct xt_state first; /* all of it, before the first commit */
	bool touched;          /* a commit may have got through */
	bool done;             /* the table is as wanted */
};
#define XT_JOBS ((size_t)FAMILY_COUNT * TABLE_COUNT)

struct xt_survey {
	/* what the maker gives */
	const struct netfilter_wish *wish;
	const struct record *record;
	bool narrow; /* of what nobody recorded, only the nat tables are looked through */

	struct arena arena;
	struct traces traces[FAMILY_COUNT];
	struct xt_job jobs[FAMILY_COUNT][TABLE_COUNT];
};

/* Looks; makes no table. What it did is given back by xt_survey_done(), also where it fails. */
int xt_survey(struct xt_survey *survey, struct error *err) _must_check_;
void xt_survey_done(struct xt_survey *survey);

struct xt_proof xt_survey_proof(const struct xt_survey *survey, enum family family);

/* Whether the record lists anything of the table. */
bool xt_recorded(const struct record *record, const struct xt_table *table);

/* Says in err which table it is about. */
int xt_wrap_table(const struct xt_table *table, struct error *err, int r);
