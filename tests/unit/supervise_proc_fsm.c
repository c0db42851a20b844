/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/proc_fsm.h"

#include <criterion/criterion.h>
#include <stdbool.h>

static bool has_process(enum proc_state state)
{
	return state != PROC_DOWN && state != PROC_BACKOFF;
}

static bool has_timer(enum proc_state state)
{
	return state == PROC_STOPPING || state == PROC_RESTARTING || state == PROC_ENDING ||
	       state == PROC_BACKOFF;
}

/* Requests and probe results come from outside, at any time; the rest needs its cause. */
static bool can_happen(enum proc_state state, enum proc_event event)
{
	if (event == PROC_EV_EXIT)
		return has_process(state);
	if (event == PROC_EV_TIMEOUT)
		return has_timer(state);
	return true;
}

static bool is_dying(enum proc_state state)
{
	return state == PROC_STOPPING || state == PROC_RESTARTING || state == PROC_ENDING;
}

#define FOR_EACH_CELL(s, e)                                    \
	for (enum proc_state s = 0; s < PROC_STATE_COUNT; s++) \
		for (enum proc_event e = 0; e < PROC_EVENT_COUNT; e++)

Test(proc_fsm, has_a_cell_exactly_where_an_event_can_happen)
{
	FOR_EACH_CELL(s, e)
	cr_expect_eq(proc_step(s, e).action != PROC_UNREACHABLE, can_happen(s, e), "%s, event %u",
		     proc_state_name(s), e);
}

Test(proc_fsm, never_has_two_processes_and_never_loses_one)
{
	FOR_EACH_CELL(s, e)
	{
		struct proc_step step = proc_step(s, e);
		bool alive = has_process(s) && e != PROC_EV_EXIT;
		bool signals = step.action == PROC_TERM || step.action == PROC_TERM_NOW ||
			       step.action == PROC_END || step.action == PROC_KILL;

		if (!can_happen(s, e))
			continue;
		cr_expect_not(step.action == PROC_SPAWN && alive, "%s/%u", proc_state_name(s), e);
		cr_expect_not(signals && !alive, "%s/%u", proc_state_name(s), e);
		if (step.action == PROC_SPAWN)
			alive = true;
		cr_expect_eq(alive, has_process(step.next), "%s/%u", proc_state_name(s), e);
	}
}

Test(proc_fsm, ends_down_after_stop_from_anywhere_and_the_exit_it_provokes)
{
	for (enum proc_state s = 0; s < PROC_STATE_COUNT; s++) {
		enum proc_state next = proc_step(s, PROC_EV_STOP).next;

		if (has_process(next))
			next = proc_step(next, PROC_EV_EXIT).next;
		cr_expect_eq(next, PROC_DOWN, "%s", proc_state_name(s));
	}
}

Test(proc_fsm, asks_before_it_kills_and_kills_what_does_not_listen)
{
	for (enum proc_state s = 0; s < PROC_STATE_COUNT; s++) {
		struct proc_step stop = proc_step(s, PROC_EV_STOP);

		if (!has_process(s) || is_dying(s))
			continue;
		cr_expect_eq(stop.action, PROC_TERM, "%s", proc_state_name(s));
		cr_expect_eq(proc_step(stop.next, PROC_EV_TIMEOUT).action, PROC_KILL, "%s",
			     proc_state_name(s));
	}
}

Test(proc_fsm, leaves_the_kill_timer_alone_when_start_and_stop_are_toggled)
{
	static const enum proc_event toggles[] = { PROC_EV_START, PROC_EV_STOP, PROC_EV_RESTART };
	static const enum proc_state dying[] = { PROC_STOPPING, PROC_RESTARTING, PROC_ENDING };

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < 3; j++) {
			struct proc_step step = proc_step(dying[i], toggles[j]);

			cr_expect_eq(step.action, PROC_IGNORE);
			cr_expect(is_dying(step.next));
		}
	}
}

/* TERM_NOW and KILL keep or use up the timer of a state that has one. */
Test(proc_fsm, arms_a_timer_exactly_where_a_state_waits)
{
	FOR_EACH_CELL(s, e)
	{
		struct proc_step step = proc_step(s, e);
		bool armed = has_timer(s);

		if (!can_happen(s, e))
			continue;
		if (step.action == PROC_SETTLE || step.action == PROC_SPAWN)
			armed = false;
		if (step.action == PROC_TERM || step.action == PROC_END || step.action == PROC_WAIT)
			armed = true;
		cr_expect_eq(armed, has_timer(step.next), "%s/%u", proc_state_name(s), e);
	}
}

Test(proc_fsm, ends_a_drain_only_while_one_is_going_on)
{
	for (enum proc_state s = 0; s < PROC_STATE_COUNT; s++) {
		struct proc_step step = proc_step(s, PROC_EV_HURRY);

		cr_expect_eq(step.next, s);
		cr_expect_eq(step.action, is_dying(s) ? PROC_TERM_NOW : PROC_IGNORE);
	}
}

Test(proc_fsm, comes_back_after_any_exit_that_nobody_asked_for)
{
	static const enum proc_state up[] = { PROC_STARTING, PROC_READY, PROC_FAILING,
					      PROC_ENDING };

	for (unsigned i = 0; i < 4; i++) {
		struct proc_step step = proc_step(up[i], PROC_EV_EXIT);

		cr_expect_eq(step.next, PROC_BACKOFF);
		cr_expect_eq(step.action, PROC_WAIT);
		step = proc_step(step.next, PROC_EV_TIMEOUT);
		cr_expect_eq(step.next, PROC_STARTING);
		cr_expect_eq(step.action, PROC_SPAWN);
	}
}

Test(proc_fsm, ends_what_has_failed_unless_it_is_ending)
{
	for (enum proc_state s = 0; s < PROC_STATE_COUNT; s++) {
		struct proc_step step = proc_step(s, PROC_EV_FAIL);
		bool fails = has_process(s) && !is_dying(s);

		cr_expect_eq(step.action, fails ? PROC_END : PROC_IGNORE, "%s", proc_state_name(s));
		cr_expect_eq(step.next, fails ? PROC_ENDING : s, "%s", proc_state_name(s));
		cr_expect(!fails || proc_step(step.next, PROC_EV_TIMEOUT).action == PROC_KILL);
	}
}

Test(proc_fsm, lets_a_process_that_ceased_to_serve_recover)
{
	struct proc_step step = proc_step(PROC_READY, PROC_EV_LOST);

	cr_expect_eq(step.next, PROC_FAILING);
	cr_expect_eq(step.action, PROC_IGNORE);
	cr_expect_eq(proc_step(PROC_FAILING, PROC_EV_READY).next, PROC_READY);
}

Test(proc_fsm, has_a_name_of_its_own_for_every_state)
{
	for (enum proc_state s = 0; s <= PROC_STATE_COUNT; s++)
		for (enum proc_state t = 0; t < s; t++)
			cr_expect_str_neq(proc_state_name(s), proc_state_name(t));
}
