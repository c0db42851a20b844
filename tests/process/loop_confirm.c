/* SPDX-License-Identifier: GPL-2.0-or-later */

/* safety.confirm: the redirect goes out again unless somebody says that the host can be reached. */

#include "tests/process/loop.h"

#define CONFIRM (60 * SECOND)

static const struct world_setup careful = { .hold_nsec = 30LL * 1000000000,
					    .drain_nsec = 30LL * 1000000000,
					    .confirm_nsec = (int64_t)CONFIRM * 1000 };

static const struct world_setup calm = { .hold_nsec = 30LL * 1000000000,
					 .drain_nsec = 30LL * 1000000000 };

/* Sends the request as the verb does; whether it was granted. */
static bool confirm(struct world *w)
{
	json_auto_t *answer = status_answer("confirm", "", &w->d);

	turn(w);
	return json_is_true(json_object_get(answer, "ok"));
}

/* Time passes, and all is well. */
static void go_on(struct world *w, uint64_t usec)
{
	for (uint64_t end = w->now + usec; w->now < end;) {
		uint64_t next = round_due(w);

		advance(w, (next < end ? next : end) - w->now);
		if (round_due(w) <= w->now)
			probed(w, true, true);
	}
}

Test(loop, releases_a_redirect_that_nobody_confirms_and_brings_it_back_for_who_does)
{
	struct world w;

	world_up(&w, &careful);
	cr_expect(w.d.carry.ready, "a start does not wait for the confirmation");
	cr_expect(strstr(w.d.status, "Redirecting IPv4, released in 60 s unless confirmed"), "%s",
		  w.d.status);
	go_on(&w, CONFIRM - SECOND);
	did(&w, "");
	cr_expect(strstr(w.d.status, "released in 2 s unless"), "%s", w.d.status);
	go_on(&w, 2 * SECOND);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	cr_expect(strstr(w.d.status, "nobody has confirmed"), "%s", w.d.status);
	/* It goes on, released, for as long as it takes. */
	go_on(&w, 3600 * SECOND);
	did(&w, "");
	cr_expect_eq(w.d.carry.situation.wish, WISH_RUN);
	cr_expect(confirm(&w));
	did(&w, "apply:full");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	go_on(&w, 3600 * SECOND);
	did(&w, "");
	world_done(&w);
}

Test(loop, leaves_a_confirmed_redirect_alone)
{
	struct world w;

	world_up(&w, &careful);
	go_on(&w, CONFIRM - 2 * SECOND);
	cr_expect(confirm(&w));
	cr_expect_eq(strstr(w.d.status, "unless confirmed"), NULL, "%s", w.d.status);
	go_on(&w, 3600 * SECOND);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect(confirm(&w), "to confirm again is no mistake");
	world_done(&w);
}

Test(loop, waits_for_no_confirmation_where_none_is_set)
{
	const struct world_setup usual = { .hold_nsec = 0 };
	struct world w;

	world_up(&w, &usual);
	cr_expect_eq(w.d.carry.situation.confirm_until_usec, USEC_NEVER);
	cr_expect(confirm(&w));
	world_done(&w);
}

Test(loop, takes_no_confirmation_before_there_is_a_redirect_or_while_it_stops)
{
	struct world w;

	world_init(&w, &careful);
	turn(&w);
	cr_expect_not(confirm(&w));
	probed(&w, true, true);
	cr_expect_eq(w.d.carry.situation.confirm_until_usec, w.now + CONFIRM);
	asked_to_stop(&w);
	cr_expect_not(confirm(&w));
	world_done(&w);
}

/* The proxy serves, but kuma-dp itself is silent: what is put right before READY=1 gives no more time. */
Test(loop, asks_for_a_confirmation_once)
{
	struct world w;
	uint64_t until;

	world_init(&w, &careful);
	turn(&w);
	w.apply_always = NETFILTER_BUSY;
	probed(&w, true, true);
	w.apply_always = 0;
	w.d.carry.situation.kuma_dp_silent = true;
	advance(&w, 20 * MSEC);
	cr_assert_eq(w.d.carry.situation.applied, LEVEL_FULL);
	cr_expect_not(w.d.carry.ready);
	until = w.d.carry.situation.confirm_until_usec;
	cr_expect_eq(until, w.now + CONFIRM);
	w.book[0] = '\0';
	advance(&w, SECOND);
	w.difference = "ipv4 nat: rules of ours are gone";
	daemon_disturbed(&w.d, NULL);
	turn(&w);
	did(&w, "apply:full take-over");
	cr_expect_eq(w.d.carry.situation.confirm_until_usec, until);
	cr_expect(confirm(&w));
	world_done(&w);
}

/* Whoever set both wants to get at the host above all. */
Test(loop, releases_what_is_not_confirmed_under_an_infinite_hold_too)
{
	const struct world_setup closed = { .hold_nsec = DURATION_INFINITY,
					    .confirm_nsec = careful.confirm_nsec };
	struct world w;

	world_up(&w, &closed);
	w.spawn_result = -ENOENT;
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "");
	advance(&w, CONFIRM - SECOND);
	cr_expect_eq(w.kernel, LEVEL_FULL);
	advance(&w, 2 * SECOND);
	cr_expect_eq(w.kernel, LEVEL_NONE);
	world_done(&w);
}

/* Deeds before words: the level and the status agree although the kernel refuses first. */
Test(loop, tries_again_to_release_what_is_not_confirmed)
{
	struct world w;

	world_up(&w, &careful);
	w.apply_always = -EIO;
	go_on(&w, CONFIRM + SECOND);
	cr_expect_eq(phase_of(&w), PHASE_APPLYING);
	w.apply_always = 0;
	w.book[0] = '\0';
	go_on(&w, 2 * SECOND);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "TERM:kuma-dp apply:none sweep exit:0");
	world_done(&w);
}

/* A reload of rules; those of number 1 are the first ones. */
static void reload(struct world *w, unsigned rules, enum reload_kind how)
{
	json_t *answer = NULL;

	generation_free(w->loaded);
	w->loaded = paper_generation(&calm, rules);
	cr_expect(daemon_reload(&w->d, how, &answer), "it is answered later");
	turn(w);
}

Test(loop, goes_back_to_the_former_generation_where_nobody_confirms_a_reload)
{
	const struct generation *first;
	struct world w;

	world_up(&w, &calm);
	first = w.d.current;
	reload(&w, 2, RELOAD_GUARDED);
	did(&w, "apply:full reply:yes");
	cr_expect_eq(w.last_generation, 2);
	cr_expect(strstr(w.d.status, "back to the former configuration in 60 s unless confirmed"),
		  "%s", w.d.status);
	go_on(&w, CONFIRM - SECOND);
	did(&w, "");
	/* A second one, before the first is confirmed, has its own time; both are taken back. */
	reload(&w, 3, RELOAD_GUARDED);
	did(&w, "apply:full reply:yes");
	go_on(&w, CONFIRM - SECOND);
	did(&w, "");
	go_on(&w, 2 * SECOND);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 4);
	cr_expect_eq(w.d.current->loaded_by, first);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect_eq(strstr(w.d.status, "confirm"), NULL, "%s", w.d.status);
	go_on(&w, 3600 * SECOND);
	did(&w, "");
	world_done(&w);
}

Test(loop, keeps_a_reload_that_is_confirmed_and_one_that_need_not_be)
{
	struct world w;

	world_up(&w, &calm);
	reload(&w, 2, RELOAD_GUARDED);
	did(&w, "apply:full reply:yes");
	cr_expect(confirm(&w));
	cr_expect_null(w.d.confirm.former);
	go_on(&w, 3600 * SECOND);
	did(&w, "");
	reload(&w, 3, RELOAD_ASKED);
	did(&w, "apply:full reply:yes");
	cr_expect_null(w.d.confirm.former);
	world_done(&w);

	/* Nothing changes, and so there is nothing to confirm. */
	world_up(&w, &calm);
	reload(&w, 1, RELOAD_GUARDED);
	did(&w, "reply:yes");
	cr_expect_null(w.d.confirm.former);
	world_done(&w);
}

/* The proxy of the new configuration does not come up: its time begins when that is known. */
Test(loop, goes_back_from_a_configuration_with_which_nothing_serves)
{
	json_t *answer = NULL;
	struct world w;

	world_up(&w, &calm);
	w.loaded = paper_generation(&calm, 2);
	w.loaded->command[CHILD_KUMA_DP].path = "/other";
	command_digest(&w.loaded->command[CHILD_KUMA_DP], w.loaded->digest[CHILD_KUMA_DP]);
	cr_expect(daemon_reload(&w.d, RELOAD_GUARDED, &answer));
	turn(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	for (int i = 0; i < 400 && !strstr(w.book, "reply:no"); i++) {
		advance(&w, SECOND);
		if (round_due(&w) <= w.now)
			probed(&w, false, false);
		if (child_lives(&w.d, CHILD_KUMA_DP) &&
		    w.d.child[CHILD_KUMA_DP].proc.state == PROC_ENDING)
			child_exits(&w, CHILD_KUMA_DP, 0);
	}
	cr_expect(strstr(w.book, "reply:no"), "%s", w.book);
	cr_expect_neq(w.d.confirm.until_usec, USEC_NEVER);
	advance(&w, CONFIRM);
	cr_expect_null(w.d.confirm.former);
	cr_expect(daemon_child_is_of(&w.d, CHILD_KUMA_DP, latest_of(&w.d)) ||
			  !child_lives(&w.d, CHILD_KUMA_DP) ||
			  w.d.child[CHILD_KUMA_DP].proc.state == PROC_RESTARTING,
		  "the former kuma-dp is on its way");
	world_done(&w);
}
