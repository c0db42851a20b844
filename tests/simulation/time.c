/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is due, and its delivery: as the event loop does it, in the order of priorities. */

#include "tests/simulation/world.h"

#define AT_ONCE_MAX 2000 /* deliveries without time passing: more is a loop without end */

static uint64_t soonest(const struct world *w, size_t end)
{
	uint64_t next = USEC_NEVER;

	for (size_t i = 0; i < end; i++)
		if (w->due[i] < next)
			next = w->due[i];
	return next;
}

static void go_to(struct world *w, uint64_t usec)
{
	if (usec > w->now)
		w->now = usec;
	oracle_time(w);
}

/* The daemon does not run meanwhile: nothing can be asked of it. */
static void go_without_it(struct world *w, uint64_t usec)
{
	if (usec > w->now) {
		w->stalled_usec += usec - w->now;
		w->now = usec;
	}
	/* Nobody knows when an answer came; what was missed before is forgotten. */
	w->memory.vague = true;
	w->memory.gap_usec = w->now;
	w->memory.discarded++;
	oracle_notes(w);
}

static void timer_fires(struct world *w, size_t slot)
{
	w->memory.wakeups++;
	if (slot < SLOT_PROC_TIMER)
		daemon_timer(&w->d, (enum timer)(slot - SLOT_TIMER));
	else
		proc_timeout(&w->d.child[slot - SLOT_PROC_TIMER].proc);
}

static void deliver(struct world *w, size_t slot)
{
	w->due[slot] = USEC_NEVER;
	w->steps++;
	if (slot < SLOT_TOLD) {
		process_ended(w, (enum process_id)(slot - SLOT_ENDS));
	} else if (slot < SLOT_SIGNAL) {
		proc_exited(&w->d.child[slot - SLOT_TOLD].proc, &w->exits[slot - SLOT_TOLD]);
		oracle_told(w, slot == SLOT_TOLD + CHILD_KUMA_DP);
	} else if (slot == SLOT_SIGNAL) {
		daemon_stop(&w->d);
	} else if (slot < SLOT_PROBED) {
		timer_fires(w, slot);
	} else if (slot == SLOT_PROBED) {
		probe_ends(w);
	} else if (slot == SLOT_ENVOY_TOLD) {
		daemon_envoy_ended(&w->d);
		oracle_told(w, true);
	} else if (slot == SLOT_REFUSED) {
		daemon_refused(&w->d);
	} else if (slot == SLOT_TABLES_TOLD) {
		daemon_tables_changed(&w->d, "kumactl");
	} else {
		daemon_disturbed(&w->d, chance(w, 50) ? "iptables" : NULL);
	}
}

/* Of those of one priority which come first is chance. */
static size_t pick(struct world *w, size_t first, size_t end)
{
	size_t found = SLOT_COUNT;
	uint32_t n = 0;

	for (size_t i = first; i < end; i++)
		if (w->due[i] <= w->now && below(w, ++n) == 0)
			found = i;
	return found;
}

static size_t most_urgent(struct world *w)
{
	static const size_t ends[] = { SLOT_TOLD, SLOT_SIGNAL, SLOT_TIMER, SLOT_COUNT };
	size_t first = 0;

	for (size_t i = 0; i < ELEMENTS(ends); i++) {
		size_t found = pick(w, first, ends[i]);

		if (found < SLOT_COUNT)
			return found;
		first = ends[i];
	}
	return SLOT_COUNT;
}

/* Everything that is due, and the step after it. */
static void deliver_due(struct world *w)
{
	size_t slot;

	for (unsigned n = 0;; n++) {
		if (n > AT_ONCE_MAX)
			fail(w, "the loop turns without end while no time passes");
		slot = most_urgent(w);
		if (slot < SLOT_COUNT)
			deliver(w, slot);
		else if (w->woken && !w->ended)
			daemon_steps(w);
		else
			break;
	}
	if (w->ended)
		daemon_buried(w);
}

void pass(struct world *w, uint64_t usec)
{
	uint64_t end = w->now + usec;

	for (deliver_due(w); soonest(w, SLOT_COUNT) <= end; deliver_due(w))
		go_to(w, soonest(w, SLOT_COUNT));
	go_to(w, end);
}

void stall(struct world *w, uint64_t usec)
{
	uint64_t end = w->now + usec;

	for (;;) {
		uint64_t next = soonest(w, SLOT_TOLD);

		if (next > end)
			break;
		go_without_it(w, next);
		for (size_t i = 0; i < SLOT_TOLD; i++)
			if (w->due[i] <= w->now)
				deliver(w, i);
	}
	go_without_it(w, end);
}

static void shift(uint64_t *usec, uint64_t now, uint64_t by)
{
	if (*usec >= now && *usec != USEC_NEVER)
		*usec += by;
}

void freeze(struct world *w, uint64_t usec)
{
	uint64_t *const times[] = { &w->kernel.busy_until, &w->kernel.fails_until,
				    &w->spawn_fails_until, &w->files_fail_until,
				    &w->disk_fails_until };

	for (size_t i = 0; i < SLOT_TOLD; i++)
		shift(&w->due[i], w->now, usec);
	for (size_t i = 0; i < P_COUNT; i++)
		shift(&w->process[i].serves_usec, w->now, usec);
	for (size_t i = 0; i < ELEMENTS(times); i++)
		shift(times[i], w->now, usec);
	go_without_it(w, w->now + usec);
}
