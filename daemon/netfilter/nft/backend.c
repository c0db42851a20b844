/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/backend.h"

#include <errno.h>

#include "common/base/attr.h"
#include "common/rules/print_nft.h"
#include "daemon/netfilter/nft/compare.h"
#include "daemon/netfilter/nft/look.h"
#include "daemon/netfilter/nft/owner.h"
#include "daemon/netfilter/nft/probe.h"
#include "daemon/netfilter/nft/transport.h"
#include "daemon/netfilter/record.h"
#include "daemon/os/fd.h"
#include "daemon/os/netlink.h"

/* What is in and what is wanted, both as the kernel would list them. */
struct survey {
	struct arena arena;
	struct nft_ruleset rules;
	struct nft_batch batch; /* that `want` points into */
	struct nft_look have, want;
	bool known; /* what we have is what we have put in: it was not read, nor is it compared */
	bool lost;  /* no answer came, and what is in does not tell either whether it was taken */
};

struct transaction {
	struct survey survey;
	struct record next, both; /* what will be; that and what was */
};

static void survey_done(struct survey *survey)
{
	nft_batch_done(&survey->batch);
	arena_done(&survey->arena);
}

static bool is_listed(const struct record *record, enum family family)
{
	for (size_t i = 0; i < record->n; i++)
		if (record->items[i].kind == RECORD_NFT_TABLE && record->items[i].family == family)
			return true;
	return false;
}

static bool is_ours(const struct nft_seen *seen, const struct netfilter_channel *channel)
{
	return seen->owned && channel && seen->owner == netlink_port(channel->fd);
}

/* One that systemd keeps for the daemon that it starts next stays; one that the record does not list
 * goes only where all that is recognised does. */
static bool is_to_stay(const struct survey *survey, const struct netfilter_wish *wish,
		       const struct record *record, enum family family)
{
	const struct nft_seen *seen = &survey->have.family[family];

	if (survey->rules.family[family].chains.n > 0)
		return false;
	if (!seen->exists || is_ours(seen, wish->channel))
		return !seen->exists;
	if (record->stored != LEVEL_NONE && seen->owned && !wish->dry_run)
		return true;
	return wish->scope == SCOPE_RECORDED && !is_listed(record, family);
}

/* Whether the channel's last change tells what is in: nothing has changed since, or nobody else could. */
static bool recall(const struct netfilter_channel *channel, bool by_others, struct nft_look *ret)
{
	uint32_t port;

	if (!channel || !channel->generation || nft_generation(&ret->generation) != 0)
		return false;
	if (by_others ? !channel->owned : ret->generation != channel->generation)
		return false;
	port = netlink_port(channel->fd);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		ret->family[f] = (struct nft_seen){
			.exists = channel->rules[f] > 0,
			.owned = channel->owned,
			.owner = port,
			.rules.n = channel->rules[f],
		};
	return true;
}

static size_t count_rules(const struct nft_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->chains.n; i++)
		n += table->chains.items[i]->n;
	return n;
}

/* A change was made. Where it was not the first one after what was read, its number is another one. */
static void remember(struct netfilter_channel *channel, const struct survey *survey)
{
	channel->generation = survey->have.generation + 1;
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		channel->rules[f] = count_rules(&survey->rules.family[f]);
		/* Of one that stays nothing is known. */
		if (survey->rules.family[f].leave && survey->have.family[f].exists)
			channel->generation = 0;
	}
}

static void encode_wanted(struct survey *survey)
{
	encode_nft(&survey->rules, NFT_UNOWNED, 0, &survey->batch);
	nft_look_encoded(&survey->arena, &survey->batch, &survey->want);
}

static int survey(struct survey *survey, const struct netfilter_wish *wish,
		  const struct record *record, struct error *err)
{
	int r = 0;

	survey->known = recall(wish->channel, false, &survey->have);
	if (!survey->known)
		r = nft_look(&survey->arena, &survey->have, err);
	/* A change must not wait for others to pause. */
	if (r == -EINTR && recall(wish->channel, true, &survey->have)) {
		survey->known = true;
		r = 0;
	}
	if (r < 0)
		return r;
	lower_nft(&survey->arena, wish->rules, &survey->rules);
	if (!survey->known)
		encode_wanted(survey);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		survey->rules.family[f].leave = is_to_stay(survey, wish, record, f);
	if (survey->arena.failed || survey->batch.failed)
		return error_sys(err, -ENOMEM, "read nf_tables");
	return 0;
}

/* Whether a family's table is not as it should be. */
static bool differs(const struct survey *survey, enum family family)
{
	return !survey->rules.family[family].leave &&
	       (survey->known ||
		!nft_seen_equal(&survey->have.family[family], &survey->want.family[family]));
}

static void list_table(struct record *record, enum family family)
{
	const struct record_item item = {
		.kind = RECORD_NFT_TABLE,
		.family = family,
		.table = TABLE_COUNT,
	};

	array_push(&record->arena, record, item);
}

static int list_tables(struct transaction *t, const struct record *record, struct error *err)
{
	record_begin(record, RECORD_NFT_KINDS, &t->next);
	record_begin(record, RECORD_NFT_KINDS, &t->both);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		bool wanted = t->survey.rules.family[f].chains.n > 0;
		bool stays = t->survey.rules.family[f].leave && t->survey.have.family[f].exists;

		if (wanted || (stays && is_listed(record, f)))
			list_table(&t->next, f);
		if (wanted || is_listed(record, f))
			list_table(&t->both, f);
	}
	if (t->next.arena.failed || t->both.arena.failed)
		return error_sys(err, -ENOMEM, "list the tables");
	return 0;
}

/* Takes another list in place of the one in memory. */
static void adopt(struct record *record, struct record *list)
{
	record_done(record);
	*record = *list;
	*list = (struct record){ 0 };
}

/* A file that lists what is gone does no harm: a disk that is full must not keep the rules in. */
static int keep_next(struct transaction *t, struct record *record, struct error *err)
{
	int r = record_save(&t->next, err);

	if (r < 0 && t->next.n > 0)
		return r;
	adopt(record, &t->next);
	return 0;
}

/* What is done is done: the file lists all that is in, and what is gone does no harm there. */
static void keep_done(struct transaction *t, struct record *record)
{
	bool saved = record_save(&t->next, NULL) == 0;

	adopt(record, saved || t->next.n == 0 ? &t->next : &t->both);
}

/* A table whose owner has died goes by itself in a moment. */
static int find_owner(const struct survey *survey, const struct netfilter_channel *channel,
		      struct error *err)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		const struct nft_seen *seen = &survey->have.family[f];

		if (survey->rules.family[f].leave || !seen->exists || !seen->owned ||
		    is_ours(seen, channel))
			continue;
		return nft_owner_refuse(f, seen, err);
	}
	return 0;
}

/* The answer did not come: what is in tells. */
static int look_again(struct survey *survey, struct error *err)
{
	struct error unread;
	int r = nft_look(&survey->arena, &survey->have, &unread);

	if (survey->known)
		encode_wanted(survey);
	survey->known = false;
	if (survey->arena.failed || survey->batch.failed)
		r = -ENOMEM;
	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		if (differs(survey, f))
			r = -EIO;
	survey->lost = r < 0;
	return r < 0 ? err->code : 0;
}

static int transact(struct survey *survey, struct netfilter_channel *channel, struct error *err)
{
	_cleanup_(nft_batch_done) struct nft_batch batch = { 0 };
	int r;

	encode_nft(&survey->rules, channel->owned ? NFT_OWNED : NFT_UNOWNED, channel->seq, &batch);
	channel->seq += (uint32_t)batch.n;
	channel->generation = 0;
	r = nft_transact(channel, &batch, batch.bytes.len, err);
	/* A kernel before 5.12. */
	if (r == -EINVAL && channel->owned) {
		channel->owned = false;
		r = transact(survey, channel, err);
		channel->owned = r < 0;
	} else if (r == 0) {
		remember(channel, survey);
	}
	return r == NFT_UNANSWERED ? look_again(survey, err) : r;
}

static int commit(struct transaction *t, const struct netfilter_wish *wish, struct record *record,
		  struct error *err)
{
	struct error late;
	int r = find_owner(&t->survey, wish->channel, err);

	/* What only goes is listed already. */
	if (r == 0 && wish->rules->level != LEVEL_NONE)
		r = record_save(&t->both, err);
	if (r != 0)
		return r;
	r = transact(&t->survey, wish->channel, err);
	if (r == 0) {
		keep_done(t, record);
		return 0;
	}
	/* Which state is in nobody knows: what may be in stays listed. */
	if (t->survey.lost) {
		adopt(record, &t->both);
		return r;
	}
	/* The old state is in; that the file claims more than that does no harm. */
	if (record_save(record, &late) < 0)
		return error_wrap(err, late.code, "%s", late.text);
	return r;
}

/* Whether anything changes; says what goes at LEVEL_NONE. */
static bool changes(const struct survey *survey, const struct netfilter_wish *wish,
		    struct netfilter_report *report)
{
	bool any = false;

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		const struct nft_seen *seen = &survey->have.family[f];

		if (survey->rules.family[f].leave)
			continue;
		any = any || differs(survey, f) ||
		      (wish->channel && wish->channel->owned && !seen->owned);
		if (report && wish->rules->level == LEVEL_NONE)
			array_push(&report->arena, &report->removed,
				   arena_printf(&report->arena,
						"%s nf_tables: table " NFT_TABLE " (%zu rules)",
						family_name(f), seen->rules.n));
	}
	return any;
}

static int run(struct transaction *t, const struct netfilter_wish *wish, struct record *record,
	       struct netfilter_report *report, struct error *err)
{
	struct netfilter_report found = { 0 };
	bool change;
	int r = survey(&t->survey, wish, record, err);

	if (r < 0)
		return r == -EINTR ? NETFILTER_BUSY : r;
	change = changes(&t->survey, wish, wish->dry_run ? report : &found);
	if (!wish->dry_run) {
		r = list_tables(t, record, err);
		if (r == 0 && change)
			r = nft_channel_open(wish->channel, err);
		if (r == 0)
			r = change ? commit(t, wish, record, err) : keep_next(t, record, err);
		for (size_t i = 0; r == 0 && report && i < found.removed.n; i++)
			array_push(&report->arena, &report->removed,
				   arena_strdup(&report->arena, found.removed.items[i]));
	}
	netfilter_report_done(&found);
	return r;
}

static int backend_apply(const struct netfilter_wish *wish, struct record *record,
			 struct netfilter_report *report, struct error *err)
{
	struct netfilter_channel once = { .fd = -EBADF };
	struct netfilter_wish with = *wish;
	struct transaction t = { 0 };
	struct error unread;
	int r;

	if (!with.channel)
		with.channel = &once;
	r = run(&t, &with, record, report, err ? err : &unread);
	close_fdp(&once.fd);
	survey_done(&t.survey);
	record_done(&t.next);
	record_done(&t.both);
	return r;
}

static int backend_read(const struct ruleset *rules, const struct record *record,
			struct snapshot *ret, struct error *err)
{
	const struct netfilter_wish wish = { .rules = rules };
	_cleanup_(survey_done) struct survey s = { 0 };
	int r = survey(&s, &wish, record, err);

	*ret = (struct snapshot){ 0 };
	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		nft_snapshot(&s.rules.family[f], &s.have.family[f], &s.want.family[f],
			     ret->table[f], &ret->traffic);
	return r;
}

static int backend_differs(const struct netfilter_wish *wish, const struct record *record,
			   struct strbuf *difference, struct error *err)
{
	_cleanup_(survey_done) struct survey s = { 0 };
	int r = survey(&s, wish, record, err);

	for (enum family f = 0; f < FAMILY_COUNT && r == 0; f++)
		if (!s.rules.family[f].leave)
			nft_seen_differs(f, &s.have.family[f], &s.want.family[f], difference);
	return r;
}

static int backend_sizes(_unused_ const struct record *record, uint64_t *ret, struct error *err)
{
	uint32_t generation = 0;
	int r = nft_generation(&generation);

	*ret = generation;
	return r < 0 ? error_sys(err, r, "ask nf_tables for its generation") : 0;
}

static void backend_print(const struct ruleset *rules, struct strbuf *out)
{
	struct arena arena = { 0 };
	struct nft_ruleset lowered;

	lower_nft(&arena, rules, &lowered);
	print_nft(&lowered, out);
	out->failed = out->failed || arena.failed;
	arena_done(&arena);
}

static int backend_prepare(_unused_ struct error *err)
{
	return 0;
}

static int backend_find(struct error *err)
{
	uint32_t generation;
	int r = nft_generation(&generation);

	if (netlink_nft_is_absent(r)) {
		(void)error_set(err, -EOPNOTSUPP, "this kernel has no nf_tables");
		return NETFILTER_ABSENT;
	}
	return r < 0 ? error_sys(err, r, "ask nf_tables for its generation") : 0;
}

/* Only what others take a lock for can be busy. */
static int backend_ready(_unused_ struct error *err)
{
	return 0;
}

const struct netfilter_backend backend_nft = {
	.name = "nftables",
	.kinds = RECORD_NFT_KINDS,
	.in_tables = true,
	.owns = true,
	.probe = nft_probe,
	.print = backend_print,
	.validate = nft_validate,
	.prepare = backend_prepare,
	.find = backend_find,
	.ready = backend_ready,
	.whose = nft_owner_tell,
	.apply = backend_apply,
	.read = backend_read,
	.differs = backend_differs,
	.sizes = backend_sizes,
};
