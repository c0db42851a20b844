/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Time that passes, jumps, or stands still for us alone: the token's end, rounds that come late. */

#include <sys/mman.h>

#include "tests/process/loop.h"

#define HOUR ((int64_t)3600)
#define DAY  (24 * HOUR)
#define END  ((uint64_t)2000000000) /* of the token */

static const struct world_setup usual = { .hold_nsec = 30LL * 1000000000,
					  .drain_nsec = 30LL * 1000000000 };

/* A daemon that redirects, with a token that lasts so long by a wall clock that is right. */
static void world_with_token(struct world *w, int64_t left_sec)
{
	world_init(w, &usual);
	w->wall_offset = (int64_t)END - left_sec - (int64_t)(w->now / SECOND);
	w->d.current->plan.children.token_file = "/t/token";
	w->d.current->plan.children.token = "token";
	w->d.current->plan.children.token_expires_sec = END;
	w->d.current->facts.now_sec = END - (uint64_t)left_sec;
	turn(w);
	probed(w, true, true);
	w->book[0] = '\0';
}

/* What is logged from here on. */
static int log_new(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	cr_assert_geq(dup2(fd, STDERR_FILENO), 0);
	return fd;
}

static unsigned log_count(int fd, const char *words)
{
	char text[8192] = "";
	unsigned n = 0;

	cr_assert_geq(pread(fd, text, sizeof(text) - 1, 0), 0);
	for (const char *at = text; (at = strstr(at, words)); at++)
		n++;
	return n;
}

/* The wall clock is set forward, or back; the next turn comes by itself. */
static void jump(struct world *w, int64_t sec)
{
	w->wall_offset += sec;
	probed(w, true, true);
	did(w, "");
	cr_expect_eq(phase_of(w), PHASE_REDIRECTING);
}

Test(loop, tells_of_each_stage_of_a_tokens_end_once)
{
	int log = log_new();
	struct world w;

	world_with_token(&w, 8 * DAY);
	cr_expect_eq(log_count(log, "The token"), 0);
	jump(&w, 2 * DAY);
	cr_expect_eq(log_count(log, "warning: The token in /t/token expires on"), 1);
	jump(&w, DAY);
	cr_expect_eq(log_count(log, "The token"), 1);
	jump(&w, 4 * DAY + 60);
	cr_expect_eq(log_count(log, "warning: The token in /t/token expires on"), 2);
	jump(&w, DAY);
	cr_expect_eq(log_count(log, "error: The token in /t/token expired on"), 1);
	/* It is no failure. */
	for (int i = 0; i < 100; i++)
		jump(&w, 3 * DAY);
	cr_expect_eq(log_count(log, "The token"), 3);
	world_done(&w);
}

Test(loop, does_not_tell_again_what_was_told_when_the_token_was_loaded)
{
	int log = log_new();
	struct world w;

	world_with_token(&w, HOUR);
	jump(&w, 60);
	cr_expect_eq(log_count(log, "The token"), 0);
	jump(&w, HOUR);
	cr_expect_eq(log_count(log, "The token"), 1);
	world_done(&w);
}

/* A clock that was wrong for a while hides nothing of what comes when it is right. */
Test(loop, tells_of_a_tokens_end_after_a_clock_that_jumped_forth_and_back)
{
	int log = log_new();
	struct world w;

	world_with_token(&w, 30 * DAY);
	jump(&w, 300 * DAY);
	cr_expect_eq(log_count(log, "expired on"), 1);
	jump(&w, -301 * DAY);
	jump(&w, -30 * 365 * DAY);
	jump(&w, 30 * 365 * DAY);
	cr_expect_eq(log_count(log, "The token"), 1);
	jump(&w, 26 * DAY);
	cr_expect_eq(log_count(log, "expires on"), 1);
	world_done(&w);
}

Test(loop, says_once_that_the_token_was_replaced)
{
	int log = log_new();
	struct world w;

	world_with_token(&w, 30 * DAY);
	daemon_token_read(&w.d, "token");
	daemon_token_read(&w.d, NULL); /* between the two */
	cr_expect_not(w.d.token.replaced);
	daemon_token_read(&w.d, "new");
	daemon_token_read(&w.d, "newer");
	cr_expect(w.d.token.replaced);
	cr_expect_eq(log_count(log, "was replaced"), 1);
	daemon_token_read(&w.d, "token");
	cr_expect_not(w.d.token.replaced);
	world_done(&w);
}

/* Nothing of ours runs for so long; the clock of the timers goes on. The round under way ends when it
 * goes on, before everything that was due later. */
static void freeze(struct world *w, uint64_t usec)
{
	w->now += usec;
	if (w->probing)
		probed(w, false, false);
	advance(w, 0);
}

static bool in_full(const struct world *w)
{
	return w->kernel == LEVEL_FULL && w->d.carry.said == PHASE_REDIRECTING;
}

Test(loop, takes_rounds_that_were_under_way_while_it_was_frozen_for_none)
{
	int log = log_new();
	struct world w;

	world_up(&w, &usual);
	/* Within a round that asks again what was missed. */
	probed(&w, false, false);
	freeze(&w, 60 * SECOND);
	/* Between two rounds. */
	cr_assert_not(w.probing);
	freeze(&w, 60 * SECOND);
	/* The machine is slow at first. */
	probed(&w, false, false);
	cr_expect(in_full(&w));
	probed(&w, true, true);
	did(&w, "");
	cr_expect(in_full(&w));
	cr_expect_eq(log_count(log, "notice: tproxyd did not run for 59 s"), 2);
	/* Within a round whose answers are read when the next one begins. */
	freeze(&w, 60 * SECOND);
	cr_expect_eq(log_count(log, "notice: tproxyd did not run for 58 s"), 1);
	cr_expect(w.probing && round_due(&w) == w.now, "it asks at once");
	probed(&w, false, false);
	cr_expect(in_full(&w));
	probed(&w, true, true);
	/* What is down in earnest is noticed all the same. */
	probed(&w, false, true);
	probed(&w, false, true);
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	world_done(&w);
}

/* A proxy that was about to be given up gets its time when everything runs again. */
Test(loop, gives_nobody_up_for_time_in_which_nobody_ran)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	freeze(&w, 20 * SECOND);
	did(&w, "");
	probed(&w, true, true);
	probed(&w, true, true);
	did(&w, "");
	cr_expect(in_full(&w));
	world_done(&w);

	/* The same for a start: 180 s of its own. */
	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	freeze(&w, 3600 * SECOND);
	did(&w, "");
	advance(&w, 170 * SECOND);
	probed(&w, true, true);
	cr_expect(in_full(&w));
	world_done(&w);
}

/* The start's own deadline was over for 20 s, the round for 199 s. */
Test(loop, counts_a_gap_from_the_first_that_was_due_whichever_is_told_first)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	w.now += 200 * SECOND;
	w.timer[TIMER_DEADLINE] = USEC_NEVER;
	daemon_timer(&w.d, TIMER_DEADLINE);
	probed(&w, false, false);
	did(&w, "");
	probed(&w, true, true);
	did(&w, "apply:full take-over");
	world_done(&w);
}

/* Traffic may have waited all the time: nobody can tell. */
Test(loop, ends_a_hold_in_its_time_although_it_was_frozen)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	freeze(&w, 31 * SECOND);
	did(&w, "apply:drain");
	world_done(&w);
}

Test(loop, is_not_absent_where_it_is_only_slow)
{
	int log = log_new();
	struct world w;

	world_up(&w, &usual);
	for (int i = 0; i < 20; i++)
		freeze(&w, 3 * SECOND);
	cr_expect_eq(log_count(log, "did not run"), 0);
	cr_expect_neq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}
