/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/xt/compare.h"

#include <errno.h>
#include <net/if.h> /* before the kernel's headers, which yield to it */
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "common/base/digest.h"
#include "common/rules/xt_entry.h"
#include "daemon/netfilter/xt/family.h"
#include "daemon/netfilter/xt/survey.h"
#include "daemon/netfilter/xt/traffic.h"
#include "daemon/os/fd.h"

#define RULES_MAX (64 * 1024) /* bytes of a table that are cheap to read */

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

int xt_compare_read(const struct ruleset *rules, const struct record *record, struct snapshot *ret,
		    struct error *err)
{
	const struct netfilter_wish wish = { .rules = rules };
	_cleanup_(xt_survey_done) struct xt_survey survey = { .wish = &wish, .record = record };
	int r = xt_survey(&survey, err);

	if (r < 0)
		return r;
	*ret = (struct snapshot){ 0 };
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		for (enum table n = 0; n < TABLE_COUNT; n++) {
			const struct xt_job *job = &survey.jobs[f][n];
			struct snapshot_table *table = &ret->table[f][n];

			table->exists = job->exists;
			table->rules = (unsigned)xt_state_count(&job->before);
			table->expected = (unsigned)xt_state_count(&job->want);
			table->equal = xt_state_equal(&job->before, &job->want);
			sum_redirects(&job->table, &job->before, table);
			if (n == TABLE_NAT)
				xt_add_traffic(&job->before, &job->want, &ret->traffic);
		}
	}
	return 0;
}

/* How many of a's rules b has not; an equal one counts for one. */
static size_t missing(struct arena *arena, const struct xt_chain *a, const struct xt_chain *b)
{
	size_t size = b ? b->n : 0, next = 0, n = 0;
	bool *used = arena_alloc(arena, size + 1);

	for (size_t i = 0; used && i < a->n; i++) {
		size_t left = size;

		/* Mostly they are in the same order. */
		for (; left > 0; left--, next++) {
			if (next == size)
				next = 0;
			if (!used[next] && xt_rule_equal(&a->items[i], &b->items[next]))
				break;
		}
		if (left > 0)
			used[next++] = true;
		else
			n++;
	}
	return n;
}

/* "OUTPUT without 1 of 2 rules". Chains that are as they should be say nothing. */
static void chain_differs(struct arena *arena, const struct xt_chain *now,
			  const struct xt_chain *want, struct string_list *out)
{
	const char *name = want->name, *which = want->builtin ? " of ours" : "";
	size_t less = missing(arena, want, now), more = now ? missing(arena, now, want) : 0;

	if (!now && !want->builtin)
		array_push(arena, out, arena_printf(arena, "chain %s is gone", name));
	else if (less)
		array_push(arena, out,
			   arena_printf(arena, "%s lacks %zu of %zu rule%s%s", name, less, want->n,
					want->n == 1 ? "" : "s", which));
	if (more)
		array_push(arena, out,
			   arena_printf(arena, "%s has %zu rule%s of another redirect", name, more,
					more == 1 ? "" : "s"));
}

/* What is not so in a table, in words. */
static void table_differs(struct arena *arena, const struct xt_job *job, struct string_list *out)
{
	static const struct xt_chain none;

	for (size_t i = 0; i < job->want.n; i++)
		chain_differs(arena, xt_state_find(&job->before, job->want.items[i].name),
			      &job->want.items[i], out);
	for (size_t i = 0; i < job->before.n; i++) {
		const struct xt_chain *now = &job->before.items[i];

		if (xt_state_find(&job->want, now->name))
			continue;
		if (now->builtin)
			chain_differs(arena, now, &none, out);
		else
			array_push(arena, out,
				   arena_printf(arena, "chain %s is there again", now->name));
	}
	if (!out->n)
		array_push(arena, out, "ours are in another place or order");
}

/* A table without anything of ours is told as that. */
static void job_differs(struct arena *arena, const struct xt_job *job, struct strbuf *out)
{
	struct string_list words = { 0 };

	strbuf_addf(out, "%s%s %s: ", out->len ? "; " : "", family_name(job->table.family),
		    table_name(job->table.table));
	if (xt_state_count(&job->want) && !xt_state_count(&job->before)) {
		strbuf_addf(out, "all %zu rules are gone", xt_state_count(&job->want));
		return;
	}
	table_differs(arena, job, &words);
	for (size_t i = 0; i < words.n; i++)
		strbuf_addf(out, "%s%s", i ? ", " : "", words.items[i]);
}

int xt_compare_differs(const struct netfilter_wish *wish, const struct record *record,
		       struct strbuf *difference, struct error *err)
{
	_cleanup_(xt_survey_done) struct xt_survey survey = { .wish = wish,
							      .record = record,
							      .narrow = true };
	const struct xt_job *jobs = &survey.jobs[0][0];
	int r = xt_survey(&survey, err);

	for (size_t i = 0; i < XT_JOBS && r == 0; i++)
		if (jobs[i].change)
			job_differs(&survey.arena, &jobs[i], difference);
	return r == 0 && survey.arena.failed ? error_sys(err, -ENOMEM, "compare the rules") : r;
}

static const int levels[FAMILY_COUNT] = { IPPROTO_IP, IPPROTO_IPV6 };

/* Adds the rules as the kernel keeps them, without what they have counted. */
static int add_rules(const struct xt_table *table, int fd, size_t size, struct digest *digest)
{
	_Static_assert(offsetof(struct ipt_get_entries, entrytable) ==
			       offsetof(struct ip6t_get_entries, entrytable),
		       "one layout");
	socklen_t len = (socklen_t)(sizeof(struct ipt_get_entries) + size);
	_free_ struct ipt_get_entries *all = calloc(1, len);
	char *rules = all ? (char *)all->entrytable : NULL;

	if (!all)
		return -ENOMEM;
	memcpy(all->name, table_name(table->table), strlen(table_name(table->table)) + 1);
	all->size = (unsigned)size;
	/* EAGAIN: others have just changed its size, which shows anyway. */
	if (getsockopt(fd, levels[table->family], IPT_SO_GET_ENTRIES, all, &len) < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (size_t at = 0; at < size; at += xt_entry_size(table->family, rules + at))
		memset(rules + at + xt_layouts[table->family].counters, 0,
		       sizeof(struct xt_counters));
	digest_add(digest, rules, size);
	return 0;
}

/* Adds what the kernel tells of a table, and its rules where they are few. (To ask makes one that does
 * not exist. The numbers of the questions are those of IPv6 too.) */
static int add_size(const struct xt_table *table, int fd, struct digest *digest)
{
	_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one layout");
	struct ipt_getinfo info = { 0 };
	socklen_t len = sizeof(info);

	memcpy(info.name, table_name(table->table), strlen(table_name(table->table)) + 1);
	if (getsockopt(fd, levels[table->family], IPT_SO_GET_INFO, &info, &len) < 0)
		return -errno;
	digest_add(digest, &info, sizeof(info));
	return info.size <= RULES_MAX ? add_rules(table, fd, info.size, digest) : 0;
}

static int add_sizes(enum family family, const struct record *record, struct digest *digest,
		     struct error *err)
{
	_close_ int fd = socket(family_domain(family), SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned tables;
	int r = 0;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? 0 : error_sys(err, -errno, "make a socket");
	for (enum table n = 0; n < TABLE_COUNT && r == 0; n++) {
		const struct xt_table table = { family, n };
		bool exists = xt_recorded(record, &table);

		/* Where nothing is recorded, something may come back: to nat, where it matters. */
		if (!exists && n == TABLE_NAT) {
			r = xt_tables(family, &tables, err);
			exists = tables & 1U << n;
		}
		if (r < 0)
			return r;
		r = exists ? add_size(&table, fd, digest) : 0;
		if (r < 0)
			r = xt_wrap_table(&table, err, error_sys(err, r, "ask for its size"));
	}
	return r;
}

int xt_compare_sizes(const struct record *record, uint64_t *ret, struct error *err)
{
	struct digest digest = DIGEST_INIT;
	int r = 0;

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		r = add_sizes(f, record, &digest, err);
	*ret = digest.a;
	return r;
}
