/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The redirect as a whole, with a backend that changes nothing: in which order address, rules and
 * record come and go, and what is left when one of them fails. Without root: in a network namespace
 * of its own. */

#include "daemon/netfilter/redirect.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "daemon/netfilter/loopback.h"
#include "tests/process/namespace.h"

/* What the backend does, and what it saw when it was last asked. */
static struct {
	int ready, apply;
	unsigned readied, applied;
	unsigned busy; /* so many times at first */
	bool address, dry_run;
	bool keeps; /* what the record lists of others */
	size_t listed;
	enum scope scope;
} fake;

static int answer_open;
static char dir[32], path[64], path_installed[64];
static const struct ruleset full = { .level = LEVEL_FULL, .loopback_v6 = true, .loopback = "lo" };
static const struct ruleset none = { .level = LEVEL_NONE };

static bool has_address(void)
{
	struct error err = { 0 };
	bool ret = false;

	cr_assert_eq(loopback_v6_present("lo", &ret, &err), 0, "%s", err.text);
	return ret;
}

static int busy(struct error *err)
{
	(void)error_set(err, -EBUSY, "others are at it");
	return NETFILTER_BUSY;
}

static int fake_find(struct error *err)
{
	if (answer_open == NETFILTER_ABSENT)
		(void)error_set(err, -EOPNOTSUPP, "there is none here");
	return answer_open;
}

static int fake_ready(struct error *err)
{
	fake.readied++;
	return fake.ready == NETFILTER_BUSY ? busy(err) : 0;
}

static int fake_apply(const struct netfilter_wish *wish, struct record *record,
		      struct netfilter_report *report, struct error *err)
{
	const struct record_item item = { .chain = "KUMA_MESH_FAKE" };

	fake.applied++;
	fake.address = has_address();
	fake.listed = record->n;
	fake.scope = wish->scope;
	fake.dry_run = wish->dry_run;
	if (fake.busy) {
		fake.busy--;
		return busy(err);
	}
	if (fake.apply < 0)
		return error_set(err, fake.apply, "table nat: no");
	if (fake.apply > 0)
		return busy(err);
	if (report)
		array_push(&report->arena, &report->removed, "everything");
	if (wish->dry_run)
		return 0;
	if (!fake.keeps)
		record->n = 0;
	if (wish->rules->level != LEVEL_NONE)
		array_push(&record->arena, record, item);
	return record_save(record, err);
}

static const struct netfilter_backend backend = {
	.name = "fake",
	.kinds = ~0U,
	.find = fake_find,
	.ready = fake_ready,
	.apply = fake_apply,
};

/* The other backend. */
static struct {
	unsigned applied, looked;
	int apply, level, ready;
	unsigned ours; /* applies of the other one that came before */
	const char *difference;
} second;

static int second_find(struct error *err)
{
	(void)err;
	return 0;
}

static int second_ready(struct error *err)
{
	return second.ready == NETFILTER_BUSY ? busy(err) : 0;
}

static int second_apply(const struct netfilter_wish *wish, struct record *record,
			struct netfilter_report *report, struct error *err)
{
	(void)record;
	(void)report;
	second.applied++;
	second.level = (int)wish->rules->level;
	second.ours = fake.applied;
	if (second.apply < 0)
		return error_set(err, second.apply, "the other: no");
	return second.apply > 0 ? busy(err) : 0;
}

static int second_differs(const struct netfilter_wish *wish, const struct record *record,
			  struct strbuf *difference, struct error *err)
{
	(void)wish;
	(void)record;
	(void)err;
	second.looked++;
	strbuf_add(difference, second.difference ? second.difference : "");
	return 0;
}

static const struct netfilter_backend second_backend = {
	.name = "second",
	.kinds = 1U << RECORD_NFT_TABLE,
	.find = second_find,
	.ready = second_ready,
	.apply = second_apply,
	.differs = second_differs,
};

static const struct netfilter_backend *const both[BACKEND_COUNT] = {
	[BACKEND_IPTABLES] = &backend,
	[BACKEND_NFTABLES] = &second_backend,
};

static const struct netfilter_backend *const all[BACKEND_COUNT] = { [BACKEND_IPTABLES] = &backend };

static struct redirect redirect;

static void setup(void)
{
	struct error err = { 0 };

	strcpy(dir, "/tmp/redirect.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/record", dir);
	(void)snprintf(path_installed, sizeof(path_installed), "%s/installed", dir);
	cr_assert_eq(redirect_open(&redirect, &backend, path, &err), 0, "%s", err.text);
}

static void teardown(void)
{
	_free_ char *command = NULL;

	redirect_done(&redirect);
	cr_assert_geq(asprintf(&command, "rm -r %s", dir), 0);
	cr_assert_eq(system(command), 0);
}

TestSuite(redirect, .init = setup, .fini = teardown);

static int apply(const struct ruleset *rules, struct error *err)
{
	const struct netfilter_wish wish = { .rules = rules, .scope = SCOPE_RECORDED };

	return redirect_apply(&redirect, &wish, NULL, err);
}

static void expect_apply(const struct ruleset *rules)
{
	struct error err = { 0 };

	cr_expect_eq(apply(rules, &err), 0, "%s", err.text);
}

static bool recorded(void)
{
	return access(path, F_OK) == 0;
}

/* Nothing can be written in the record's place, or it can be again. */
static void record_fails(bool fails)
{
	_free_ char *temporary = NULL;

	cr_assert_geq(asprintf(&temporary, "%s.new", path), 0);
	cr_assert_eq(fails ? mkdir(temporary, 0700) : rmdir(temporary), 0);
}

Test(redirect, the_address_comes_before_the_rules_and_goes_after_them)
{
	expect_apply(&full);
	cr_expect(fake.address, "before the rules");
	cr_expect(redirect.record.address);
	cr_expect(has_address());
	cr_expect(recorded());
	expect_apply(&none);
	cr_expect(fake.address, "until the rules are gone");
	cr_expect_not(has_address());
	cr_expect_not(recorded());
}

Test(redirect, an_address_that_was_there_stays)
{
	bool added;

	cr_assert_eq(loopback_v6_add("lo", &added, NULL), 0);
	expect_apply(&full);
	cr_expect_not(redirect.record.address);
	expect_apply(&none);
	cr_expect(has_address());
}

Test(redirect, an_address_that_somebody_removed_is_put_back)
{
	expect_apply(&full);
	cr_assert_eq(loopback_v6_remove("lo", NULL), 0);
	expect_apply(&full);
	cr_expect(fake.address);
	cr_expect_eq(fake.readied, 1, "asked only before an address is added");
}

Test(redirect, busy_at_once_touches_nothing)
{
	struct error err = { 0 };

	fake.ready = NETFILTER_BUSY;
	cr_expect_eq(apply(&full, &err), NETFILTER_BUSY);
	cr_expect_str_eq(err.text, "others are at it");
	cr_expect_eq(fake.applied, 0);
	cr_expect_not(has_address());
	cr_expect_not(recorded());
}

Test(redirect, busy_later_takes_the_address_back)
{
	struct error err = { 0 };

	fake.apply = NETFILTER_BUSY;
	cr_expect_eq(apply(&full, &err), NETFILTER_BUSY);
	cr_expect_str_eq(err.text, "others are at it");
	cr_expect(fake.address);
	cr_expect_not(has_address());
	cr_expect_not(recorded());
}

Test(redirect, an_apply_that_fails_takes_its_own_address_back_and_no_older_one)
{
	struct error err = { 0 };

	fake.apply = -EIO;
	cr_expect_eq(apply(&full, &err), -EIO);
	cr_expect_str_eq(err.text, "apply rules: table nat: no");
	cr_expect_not(has_address());

	fake.apply = 0;
	expect_apply(&full);
	fake.apply = -EIO;
	cr_expect_eq(apply(&full, &err), -EIO);
	cr_expect(has_address());
	cr_expect_eq(apply(&none, &err), -EIO);
	cr_expect(has_address(), "the rules are still in");
}

Test(redirect, without_a_record_no_address_and_no_rules)
{
	struct error err = { 0 };

	record_fails(true);
	cr_expect_lt(apply(&full, &err), 0);
	cr_expect_eq(strncmp(err.text, "apply rules: open /tmp/redirect.", 32), 0, "%s", err.text);
	cr_expect_eq(fake.applied, 0);
	cr_expect_not(has_address());
	cr_expect_not(redirect.record.address);
	record_fails(false);
	expect_apply(&full);
	cr_expect(has_address());
}

Test(redirect, waits_until_it_is_free)
{
	const struct netfilter_wish wish = { .rules = &none };
	const struct redirect_patience patience = { 1000000, 1000 };
	struct error err = { 0 };

	fake.busy = 3;
	cr_expect_eq(redirect_apply_wait(&redirect, &wish, &patience, NULL, &err), 0);
	cr_expect_eq(fake.applied, 4);
}

Test(redirect, waits_no_longer_than_it_may_and_says_how_long)
{
	const struct netfilter_wish wish = { .rules = &none };
	const struct redirect_patience patience = { 20000, 10000 };
	struct error err = { 0 };

	fake.apply = NETFILTER_BUSY;
	cr_expect_eq(redirect_apply_wait(&redirect, &wish, &patience, NULL, &err), NETFILTER_BUSY);
	cr_expect_str_eq(err.text, "others are at it (waited 20 ms)");
	cr_expect_eq(fake.applied, 3);
	cr_expect_lt(err.code, 0);
}

static int apply_recognised(const struct ruleset *rules, struct error *err)
{
	const struct netfilter_wish wish = { .rules = rules, .scope = SCOPE_RECOGNISED };

	redirect.all = both;
	return redirect_apply(&redirect, &wish, NULL, err);
}

Test(redirect, what_another_backend_has_goes_once_the_rules_are_in)
{
	struct error err = { 0 };

	cr_expect_eq(apply_recognised(&full, &err), 0, "%s", err.text);
	cr_expect_eq(second.looked, 2, "before and after");
	cr_expect_eq(second.applied, 0, "there is nothing");
	second.difference = "a rule";
	cr_expect_eq(apply_recognised(&full, &err), 0, "%s", err.text);
	cr_expect_eq(second.applied, 1);
	cr_expect_eq(second.level, LEVEL_NONE);
	cr_expect_eq(second.ours, 2, "ours are in before");
}

Test(redirect, what_the_record_lists_of_another_backend_goes_with_any_change)
{
	redirect.all = both;
	expect_apply(&full);
	cr_expect_eq(second.looked + second.applied, 0);
	array_push(&redirect.record.arena, &redirect.record,
		   (struct record_item){ .kind = RECORD_NFT_TABLE, .table = TABLE_COUNT });
	fake.keeps = true;
	expect_apply(&none);
	cr_expect_eq(second.applied, 1);
}

Test(redirect, nothing_is_begun_where_another_backend_is_busy_that_has_something)
{
	static const struct ruleset drain = { .level = LEVEL_DRAIN };
	struct error err = { 0 };

	second.ready = NETFILTER_BUSY;
	cr_expect_eq(apply_recognised(&full, &err), 0, "it has nothing: %s", err.text);
	second.difference = "a rule";
	cr_expect_eq(apply_recognised(&full, &err), NETFILTER_BUSY);
	cr_expect_str_eq(err.text, "others are at it");
	cr_expect_eq(fake.applied, 1);
	cr_expect_eq(second.applied, 0);
	/* What takes traffic back does not wait. */
	cr_expect_eq(apply_recognised(&drain, &err), 0, "%s", err.text);
	cr_expect_eq(fake.applied, 2);
	cr_expect_eq(second.applied, 1);
}

Test(redirect, another_backend_that_is_busy_undoes_nothing)
{
	struct error err = { 0 };

	second.difference = "a rule";
	second.apply = NETFILTER_BUSY;
	cr_expect_eq(apply_recognised(&full, &err), NETFILTER_BUSY);
	cr_expect_str_eq(err.text, "the new rules are in; remove rules of another backend: "
				   "others are at it");
	cr_expect_eq(err.code, -EBUSY);
	cr_expect(has_address());
	cr_expect(recorded());
}

Test(redirect, another_backend_that_fails_undoes_nothing_and_it_is_told_what_is_in)
{
	struct ruleset less = full;
	struct error err = { 0 };

	expect_apply(&full);
	less.loopback_v6 = false;
	second.difference = "a rule";
	second.apply = -EMFILE;
	cr_expect_eq(apply_recognised(&less, &err), -EMFILE);
	cr_expect_str_eq(err.text, "the new rules are in; remove rules of another backend: "
				   "the other: no");
	cr_expect(has_address(), "rules that are left may need it");
	cr_expect(redirect.record.address && recorded());
	cr_expect_eq(apply_recognised(&none, &err), -EMFILE);
	cr_expect_str_eq(err.text, "remove rules of another backend: the other: no");
}

Test(redirect, a_backend_that_fails_keeps_no_other_from_being_done)
{
	struct redirect_removal how = {
		both, path, path_installed, SCOPE_RECOGNISED, false, { 0 }
	};
	struct netfilter_report report;
	struct error err = { 0 };

	expect_apply(&full);
	fake.apply = -EIO;
	cr_expect_eq(redirect_remove(&how, &report, &err), -EIO);
	cr_expect_str_eq(err.text, "remove rules: table nat: no");
	netfilter_report_done(&report);
	cr_expect_eq(second.applied, 1);
}

Test(redirect, says_why_the_backend_is_absent)
{
	struct redirect other;
	struct error err = { 0 };

	answer_open = NETFILTER_ABSENT;
	cr_expect_eq(redirect_open(&other, &backend, path, &err), NETFILTER_ABSENT);
	cr_expect_str_eq(err.text, "there is none here");
}

static struct redirect_removal removal(enum scope scope, bool dry_run)
{
	return (struct redirect_removal){ all, path, path_installed, scope, dry_run, { 0 } };
}

static int take_out(enum scope scope, bool dry_run, struct error *err)
{
	struct redirect_removal how = removal(scope, dry_run);
	struct netfilter_report report;
	int r = redirect_remove(&how, &report, err);

	netfilter_report_done(&report);
	return r;
}

Test(redirect, what_is_recorded_is_removed_by_the_record_of_the_daemon)
{
	struct error err = { 0 };

	expect_apply(&full);
	cr_expect_eq(take_out(SCOPE_RECORDED, false, &err), 0, "%s", err.text);
	cr_expect_eq(fake.scope, SCOPE_RECORDED);
	cr_expect_eq(fake.listed, 1);
	cr_expect_not(has_address());
	cr_expect_not(recorded());
}

Test(redirect, what_is_recognised_is_removed_with_both_records)
{
	const struct redirect_removal how = removal(SCOPE_RECOGNISED, false);
	struct netfilter_report report;
	struct redirect installed;
	struct error err = { 0 };

	expect_apply(&full);
	cr_assert_eq(redirect_open(&installed, &backend, path_installed, &err), 0);
	array_push(&installed.record.arena, &installed.record,
		   (struct record_item){ .chain = "X" });
	cr_assert_eq(record_save(&installed.record, &err), 0, "%s", err.text);
	redirect_done(&installed);

	cr_expect_eq(redirect_remove(&how, &report, &err), 0, "%s", err.text);
	cr_expect_eq(fake.listed, 2);
	cr_assert_eq(report.removed.n, 2);
	cr_expect_str_eq(report.removed.items[0], "everything");
	cr_expect_str_eq(report.removed.items[1], "::6/128 on lo");
	netfilter_report_done(&report);
	cr_expect_not(has_address());
	cr_expect_not(recorded());
	cr_expect_neq(access(path_installed, F_OK), 0);
}

Test(redirect, a_dry_run_removes_nothing)
{
	struct error err = { 0 };

	expect_apply(&full);
	cr_expect_eq(take_out(SCOPE_RECOGNISED, true, &err), 0, "%s", err.text);
	cr_expect(fake.dry_run);
	cr_expect(has_address());
	cr_expect(recorded());
}

Test(redirect, without_the_backend_the_address_goes_all_the_same)
{
	struct error err = { 0 };

	expect_apply(&full);
	answer_open = NETFILTER_ABSENT;
	cr_expect_eq(take_out(SCOPE_RECORDED, false, &err), 0, "nothing to do");
	cr_expect_not(has_address());
	cr_expect(recorded());
	cr_expect_eq(take_out(SCOPE_RECOGNISED, false, &err), 0, "%s", err.text);
	cr_expect_not(has_address());
	cr_expect_not(recorded());
}

Test(redirect, a_damaged_record_is_told_and_keeps_nothing_from_going)
{
	const struct redirect_removal how = removal(SCOPE_RECOGNISED, false);
	struct netfilter_report report;
	struct error err = { 0 };

	{
		_fclose_ FILE *f = fopen(path, "we");

		cr_assert_not_null(f);
		(void)fputs("no record\n", f);
	}
	cr_expect_lt(take_out(SCOPE_RECORDED, false, &err), 0);
	cr_expect_str_eq(strrchr(err.text, '/'), "/record is damaged");
	cr_expect_eq(redirect_remove(&how, &report, &err), 0, "%s", err.text);
	cr_assert_eq(report.left.n, 1);
	cr_expect_eq(strncmp(report.left.items[0], "The record is of no use: ", 25), 0);
	netfilter_report_done(&report);
	cr_expect_not(recorded());
}
