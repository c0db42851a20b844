/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The rules of several command lines of `tproxyd install`, one after the other, again and again, in
 * one process:
 *
 *     reapply TIMES RECORD -- [ARGUMENT…] [-- [ARGUMENT…]]…
 *
 * The argument "nothing" alone stands for no rules. RECORD "" keeps the record in memory. TIMES may
 * be followed by "+read": before each change it is looked whether the last one still holds; and by
 * "+recorded": only what the record lists gives way to it. Prints
 * for each command line the microseconds of an apply ("apply MEDIAN MIN MAX"), then "busy N" (the
 * lock was held) and "missing N" (something of ours was not as it was left). BACKEND=nftables: by that
 * one; OWNED=1: its tables go with the process, which then waits for the end of its stdin.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "daemon/load/generation.h"
#include "daemon/netfilter/backends/backends.h"
#include "daemon/netfilter/redirect.h"

#define SIDES_MAX 4

struct side {
	struct generation *generation;
	const struct ruleset *rules;
	uint64_t *nsec;
};

struct run {
	struct side sides[SIDES_MAX];
	size_t n_sides;
	size_t times;
	bool read;
	enum scope scope;
	unsigned busy, missing;
};

static const struct ruleset nothing = { .level = LEVEL_NONE };

static uint64_t now_nsec(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static int prepare_side(struct side *side, int argc, char **argv, size_t times, struct error *err)
{
	int r;

	side->nsec = calloc(times ? times : 1, sizeof(*side->nsec));
	if (!side->nsec)
		return error_sys(err, -ENOMEM, "prepare");
	if (argc == 2 && strcmp(argv[1], "nothing") == 0) {
		side->rules = &nothing;
		return 0;
	}
	r = generation_new(argc, argv, GENERATION_INSTALL, &side->generation, err);
	if (r > 0)
		return error_set(err, -EINVAL, "no arguments for install");
	if (r < 0)
		return r;
	if (generation_exit_status(side->generation)) {
		options_print_diags(&side->generation->options.diags);
		return error_set(err, -EINVAL, "no configuration for install");
	}
	side->rules = &side->generation->rules[LEVEL_FULL];
	return 0;
}

/* Cuts the arguments at each "--", which then serves as the name of the program. */
static int prepare(struct run *run, int argc, char **argv, struct error *err)
{
	int begin = 0;

	for (int i = 1; i <= argc; i++) {
		int r;

		if (i < argc && strcmp(argv[i], "--") != 0)
			continue;
		if (run->n_sides == SIDES_MAX)
			return error_set(err, -E2BIG, "at most %d command lines", SIDES_MAX);
		r = prepare_side(&run->sides[run->n_sides++], i - begin, argv + begin, run->times,
				 err);
		if (r < 0)
			return r;
		begin = i;
	}
	return 0;
}

static int look(struct run *run, struct redirect *redirect, const struct ruleset *rules,
		struct error *err)
{
	struct snapshot now;
	int r = redirect->backend->read(rules, &redirect->record, &now, err);

	if (r < 0)
		return r;
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		for (enum table t = 0; t < TABLE_COUNT; t++) {
			if (now.table[f][t].equal)
				continue;
			run->missing++;
			(void)fprintf(stderr, "%s %s: %u of %u rules, not as they were left\n",
				      family_name(f), table_name(t), now.table[f][t].rules,
				      now.table[f][t].expected);
		}
	}
	return 0;
}

static int apply(struct run *run, struct redirect *redirect, struct side *side, size_t n,
		 struct error *err)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };
	const struct netfilter_wish wish = { .rules = side->rules, .scope = run->scope };

	for (unsigned tries = 0; tries < 30000; tries++) {
		uint64_t begin = now_nsec();
		int r = redirect_apply(redirect, &wish, NULL, err);

		side->nsec[n] = now_nsec() - begin;
		if (r != NETFILTER_BUSY)
			return r;
		run->busy++;
		(void)nanosleep(&pause, NULL);
	}
	return error_set(err, -EBUSY, "the lock is never free");
}

static void print_times(const struct run *run)
{
	for (size_t s = 0; s < run->n_sides && run->times; s++) {
		uint64_t *nsec = run->sides[s].nsec;

		qsort(nsec, run->times, sizeof(*nsec), compare_u64);
		(void)printf("apply %.1f %.1f %.1f\n", (double)nsec[run->times / 2] / 1e3,
			     (double)nsec[0] / 1e3, (double)nsec[run->times - 1] / 1e3);
	}
	(void)printf("busy %u\nmissing %u\n", run->busy, run->missing);
	(void)fflush(stdout);
}

static int cycle(struct run *run, const char *record, struct error *err)
{
	const char *backend = getenv("BACKEND");
	const bool nft = backend && strcmp(backend, "nftables") == 0, owned = getenv("OWNED");
	const struct ruleset *last = NULL;
	struct redirect redirect;
	int r = redirect_open(&redirect,
			      netfilter_backends[nft ? BACKEND_NFTABLES : BACKEND_IPTABLES],
			      record[0] ? record : NULL, err);

	redirect.channel.owned = owned;
	if (r != 0)
		return r < 0 ? r : err->code;
	for (size_t n = 0; n < run->times && r == 0; n++) {
		for (size_t s = 0; s < run->n_sides && r == 0; s++) {
			if (run->read && last)
				r = look(run, &redirect, last, err);
			if (r == 0)
				r = apply(run, &redirect, &run->sides[s], n, err);
			last = run->sides[s].rules;
		}
	}
	if (r == 0)
		print_times(run);
	while (owned && getchar() != EOF)
		continue;
	redirect_done(&redirect);
	return r;
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	struct error err = { 0 };
	int r;

	if (argc < 4 || strcmp(argv[3], "--") != 0) {
		(void)fputs("usage: see reapply.c\n", stderr);
		return 64;
	}
	run.times = (size_t)atoi(argv[1]);
	run.scope = strstr(argv[1], "+recorded") ? SCOPE_RECORDED : SCOPE_RECOGNISED;
	run.read = strstr(argv[1], "+read") != NULL;
	r = prepare(&run, argc - 3, argv + 3, &err);
	if (r == 0)
		r = cycle(&run, argv[2], &err);
	if (r != 0)
		(void)fprintf(stderr, "%s\n", err.text);
	for (size_t s = 0; s < run.n_sides; s++) {
		generation_free(run.sides[s].generation);
		free(run.sides[s].nsec);
	}
	return r == 0 ? 0 : 1;
}
