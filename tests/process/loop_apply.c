/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rules that are busy, fail, or are of another generation. */

#include "tests/process/loop.h"

#define HOLD (8 * SECOND) /* a hang takes longer to be taken for a crash */

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = 30LL * 1000000000 };

static void will_answer(struct world *w, size_t n, int result)
{
	cr_assert_leq(n, ELEMENTS(w->apply_results));
	for (size_t i = 0; i < n; i++)
		w->apply_results[i] = result;
	w->n_apply_results = n;
	w->n_applied = 0;
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

Test(loop, tries_again_many_times_a_second_while_others_are_busy)
{
	struct world w;

	world_init(&w, &usual);
	will_answer(&w, 3, NETFILTER_BUSY);
	turn(&w);
	/* The children do not wait for the lock. */
	did(&w, "busy:none start:kuma-dp");
	advance(&w, 100 * MSEC);
	did(&w, "busy:none busy:none apply:none");
	cr_expect_eq(w.timer[TIMER_RETRY], USEC_NEVER);
	world_done(&w);
}

/* Other events do not make it try more often. */
Test(loop, keeps_the_pace_of_its_tries)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 60, NETFILTER_BUSY);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "busy:no-dns");
	for (int i = 0; i < 5; i++) {
		w.woken = true;
		turn(&w);
	}
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	advance(&w, 990 * MSEC);
	cr_expect_eq(count(w.book, "busy"), 49);
	cr_expect_str_empty(w.d.trouble.why);
	advance(&w, 20 * MSEC);
	cr_expect_str_not_empty(w.d.trouble.why, "it is told after a second");
	cr_expect(strstr(w.d.status, "Cannot apply the rules: "), "%s", w.d.status);
	advance(&w, SECOND);
	cr_expect_str_empty(w.d.trouble.why);
	cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
	world_done(&w);
}

Test(loop, does_not_wait_for_a_retry_when_another_level_is_wanted)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 1, -EIO);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "fail:no-dns");
	probed(&w, true, true);
	did(&w, "apply:full");
	world_done(&w);
}

Test(loop, forgets_its_trouble_when_what_is_in_is_wanted_again)
{
	struct world w;

	world_up(&w, &usual);
	w.apply_always = NETFILTER_BUSY;
	probed(&w, true, false);
	probed(&w, true, false);
	advance(&w, 1500 * MSEC);
	cr_expect(strstr(w.d.status, "Cannot apply the rules: "), "%s", w.d.status);
	w.book[0] = '\0';
	probed(&w, true, true);
	advance(&w, SECOND);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect(strncmp(w.d.status, "Redirecting", 11) == 0, "%s", w.d.status);
	cr_expect_eq(w.timer[TIMER_RETRY], USEC_NEVER);
	world_done(&w);
}

Test(loop, fails_a_start_that_others_keep_busy_to_its_deadline)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	advance(&w, 179 * SECOND);
	w.apply_always = NETFILTER_BUSY;
	probed(&w, true, true);
	advance(&w, 2 * SECOND);
	cr_expect_eq(w.d.carry.situation.wish, WISH_STOP);
	cr_expect(strncmp(w.d.status, "Not ready in time", 17) == 0, "%s", w.d.status);
	world_done(&w);
}

Test(loop, gives_up_a_start_whose_rules_cannot_be_applied)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	will_answer(&w, 1, -EIO);
	probed(&w, true, true);
	did(&w, "fail:full");
	/* What is in is not known: it is taken out before the children are told to go. */
	advance(&w, 30 * MSEC);
	did(&w, "apply:drain TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:1");
	world_done(&w);
}

/* It once left nothing armed. */
Test(loop, ends_a_start_whose_first_apply_fails)
{
	struct world w;

	world_init(&w, &usual);
	will_answer(&w, 1, -EIO);
	turn(&w);
	did(&w, "fail:none");
	advance(&w, 100 * MSEC);
	did(&w, "apply:none sweep exit:1");
	world_done(&w);
}

Test(loop, goes_on_with_rules_that_cannot_be_changed_while_it_runs)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 2, -EIO);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "fail:no-dns");
	cr_expect_eq(w.d.carry.situation.applied, LEVEL_UNKNOWN);
	cr_expect_str_eq(w.d.status, "Cannot apply the rules: apply rules: the kernel says no");
	advance(&w, 1100 * MSEC);
	did(&w, "fail:no-dns");
	advance(&w, 1100 * MSEC);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_DEGRADED);
	cr_expect(strncmp(w.d.status, "Degraded", 8) == 0, "%s", w.d.status);
	world_done(&w);
}

/* Either level may be in: the hold goes on with the lower one. */
Test(loop, tries_again_while_it_holds)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 1, -EIO);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "fail:no-dns");
	probed(&w, false, true);
	probed(&w, false, true);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	advance(&w, SECOND);
	did(&w, "apply:no-dns");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, HOLD);
	did(&w, "apply:drain");
	world_done(&w);
}

/* Nobody knows whose rules are in, and those that are wanted have the same level. */
Test(loop, does_not_know_what_is_in_when_another_generation_fails)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 1, -EIO);
	w.d.next = paper_generation(&usual, 2);
	w.woken = true;
	turn(&w);
	did(&w, "fail:full");
	cr_expect_eq(w.d.carry.situation.applied, LEVEL_UNKNOWN);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	advance(&w, SECOND);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

/* ExecStopPost goes on, in a process of its own. */
Test(loop, gives_up_rules_that_cannot_be_taken_out_when_it_stops)
{
	static const struct {
		int result;
		const char *note;
		int tenths; /* of a second, that it tries for */
	} cases[] = { { -EIO, "fail:drain", 20 }, { NETFILTER_BUSY, "busy:drain", 100 } };

	for (size_t c = 0; c < ELEMENTS(cases); c++) {
		struct world w;

		world_up(&w, &usual);
		w.apply_always = cases[c].result;
		asked_to_stop(&w);
		for (int i = 1; i < cases[c].tenths; i++) {
			w.book[0] = '\0';
			advance(&w, 100 * MSEC);
			cr_expect_eq(count(w.book, cases[c].note), 5);
			cr_expect_eq(count(w.book, "TERM"), 0, "kuma-dp serves what is redirected");
		}
		advance(&w, 200 * MSEC);
		cr_expect_eq(count(w.book, "TERM:kuma-dp"), 1);
		w.book[0] = '\0';
		child_exits(&w, CHILD_KUMA_DP, 0);
		cr_expect_eq(count(w.book, "exit:1"), 1, "%s", w.book);
		world_done(&w);
	}
}

Test(loop, takes_the_rules_out_as_soon_as_it_can_while_it_stops)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 2, -EIO);
	asked_to_stop(&w);
	did(&w, "fail:drain");
	advance(&w, 50 * MSEC);
	did(&w, "fail:drain apply:drain TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

static void next_generation(struct world *w, unsigned number)
{
	w->d.next = paper_generation(&usual, number);
	w->woken = true;
	turn(w);
}

Test(loop, adopts_a_next_generation_at_once_while_a_proxy_serves)
{
	struct world w;

	world_up(&w, &usual);
	next_generation(&w, 2);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	cr_expect_eq(w.d.carry.situation.applied_generation, 2);
	cr_expect_null(w.d.applied);
	world_done(&w);
}

Test(loop, keeps_the_rules_of_the_former_generation_until_a_proxy_serves)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	next_generation(&w, 2);
	did(&w, "");
	probed(&w, false, false);
	did(&w, "apply:no-dns");
	cr_expect_eq(w.last_generation, 1);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	world_done(&w);
}

Test(loop, falls_back_on_the_former_generation_while_the_next_one_cannot_come)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 1, NETFILTER_BUSY);
	next_generation(&w, 2);
	did(&w, "busy:full");
	cr_expect_eq(w.d.applied->number, 1);
	/* Before its time has come again the proxy is lost: what is in stays that of the first. */
	envoy_ends(&w);
	did(&w, "apply:no-dns");
	cr_expect_eq(w.last_generation, 1);
	world_done(&w);
}

Test(loop, takes_the_newest_of_several_generations)
{
	struct world w;

	world_up(&w, &usual);
	will_answer(&w, 1, NETFILTER_BUSY);
	next_generation(&w, 2);
	next_generation(&w, 3);
	advance(&w, 100 * MSEC);
	did(&w, "busy:full apply:full");
	cr_expect_eq(w.last_generation, 3);
	cr_expect_null(w.d.applied);
	world_done(&w);
}

Test(loop, adopts_nothing_while_it_stops)
{
	struct world w;

	world_up(&w, &usual);
	asked_to_stop(&w);
	did(&w, "apply:drain TERM:kuma-dp");
	next_generation(&w, 2);
	did(&w, "");
	cr_expect_eq(w.d.current->number, 1);
	world_done(&w);
}
