/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What happens by chance: a row each. */

#include "tests/simulation/world.h"

static bool always(_unused_ const struct world *w)
{
	return true;
}

static bool has_kuma_dp(const struct world *w)
{
	return w->process[P_KUMA_DP].pid;
}

static bool has_envoy(const struct world *w)
{
	return w->process[P_ENVOY].pid;
}

static bool has_core_dns(const struct world *w)
{
	return w->process[P_CORE_DNS].pid;
}

static bool has_redirect(const struct world *w)
{
	return w->kernel.level != LEVEL_NONE && w->d.carry.situation.served;
}

static bool runs(const struct world *w)
{
	return w->d.carry.situation.wish == WISH_RUN;
}

static bool stops(const struct world *w)
{
	return !runs(w);
}

static bool waits_for_confirmation(const struct world *w)
{
	return runs(w) && w->d.carry.ready &&
	       (w->d.confirm.former || (w->setup.confirm_usec && !w->memory.confirmed));
}

static void kuma_dp_crashes(struct world *w)
{
	process_end(w, P_KUMA_DP, 0);
}

static void envoy_crashes(struct world *w)
{
	process_end(w, P_ENVOY, 0);
}

static void core_dns_crashes(struct world *w)
{
	process_end(w, P_CORE_DNS, 0);
}

static enum process_id somebody(struct world *w)
{
	enum process_id id = (enum process_id)below(w, 3);

	return w->process[id].pid ? id : P_KUMA_DP;
}

static void somebody_is_stopped(struct world *w)
{
	process_signal(w, somebody(w), SIGSTOP);
}

static void all_go_on(struct world *w)
{
	for (size_t i = 0; i < P_COUNT; i++)
		if (w->process[i].pid && w->process[i].stopped)
			process_signal(w, (enum process_id)i, SIGCONT);
}

static void somebody_loops(struct world *w)
{
	enum process_id id = somebody(w);

	w->process[id].mute = true;
	w->process[id].deaf = chance(w, 50);
	tell(w, "%s loops%s", process_name(id), w->process[id].deaf ? ", deaf" : "");
}

static void loops_end(struct world *w)
{
	for (size_t i = 0; i < P_COUNT; i++) {
		struct process *p = &w->process[i];
		bool hears = p->deaf && !p->stopped && !p->killed;

		p->mute = p->deaf = false;
		if (hears && p->terms)
			process_hears(w, (enum process_id)i);
	}
}

static void dns_fails(struct world *w)
{
	w->dns_down_until = w->now + some_time(w, chance(w, 10) ? 100 * SECOND : 20 * SECOND);
}

static void answers_get_lost(struct world *w)
{
	w->lost_until = w->now + some_time(w, 10 * SECOND);
}

static void answers_come_late(struct world *w)
{
	w->late_until = w->now + some_time(w, 20 * SECOND);
}

static void rounds_cannot_begin(struct world *w)
{
	w->unasked_until = w->now + some_time(w, 5 * SECOND);
}

static void lock_is_taken(struct world *w)
{
	w->kernel.busy_until = w->now + some_time(w, chance(w, 10) ? 15 * SECOND : 2 * SECOND);
}

static void kernel_refuses(struct world *w)
{
	w->kernel.fails_until = w->now + some_time(w, chance(w, 10) ? 15 * SECOND : 2 * SECOND);
	w->kernel.refusal = (enum failing)below(w, 3);
}

static void kernel_does_not_tell(struct world *w)
{
	w->kernel.blind_until = w->now + some_time(w, 5 * SECOND);
}

static void others_edit(struct world *w)
{
	w->kernel.edit = chance(w, 50) ? EDIT_GONE : EDIT_SOME;
	w->kernel.sizes++;
	if (chance(w, 50))
		w->due[SLOT_EDIT_TOLD] = w->now + some_time(w, 100 * MSEC);
}

/* They take the lock, and change nothing of ours. */
static void others_work(struct world *w)
{
	w->due[SLOT_EDIT_TOLD] = w->now + some_time(w, 100 * MSEC);
}

/* A redirect of its own, beside ours. */
static void kumactl_installs(struct world *w)
{
	w->kernel.leftovers = true;
	w->due[SLOT_TABLES_TOLD] = w->now + some_time(w, 100 * MSEC);
}

static void clock_is_set(struct world *w)
{
	w->wall_offset_sec = (int64_t)below(w, 2000000000) - 1000;
}

static void no_process_can_be_made(struct world *w)
{
	w->spawn_fails_until = w->now + some_time(w, 5 * SECOND);
}

static void no_file_can_be_made(struct world *w)
{
	w->files_fail_until = w->now + some_time(w, 5 * SECOND);
}

static void no_record_can_be_made(struct world *w)
{
	w->disk_fails_until = w->now + some_time(w, 5 * SECOND);
}

static void plane_is_away(struct world *w)
{
	w->plane_down_until = w->now + some_time(w, 60 * SECOND);
	plane_returns(w);
}

static void plane_is_back(struct world *w)
{
	w->plane_down_until = w->now;
	plane_returns(w);
}

static void connections_open(struct world *w)
{
	w->connections = 1 + below(w, 5);
}

static void connections_close(struct world *w)
{
	w->connections = 0;
}

static void connections_cannot_be_counted(struct world *w)
{
	w->uncountable_until = w->now + some_time(w, 20 * SECOND);
}

static void asked_to_stop(struct world *w)
{
	w->due[SLOT_SIGNAL] = w->now;
}

static void asked_to_stop_again(struct world *w)
{
	asked_to_stop(w);
	span_is(w, &w->memory.hurried, true);
}

static void the_daemon_waits(struct world *w)
{
	stall(w, some_time(w, 60 * SECOND));
}

static void everything_waits(struct world *w)
{
	freeze(w, some_time(w, 120 * SECOND));
}

static void name_servers_change(struct world *w)
{
	struct setup setup = w->setup;

	/* To none that could be redirected, at times. */
	setup.rules = rules_next(w, setup.dns && chance(w, 80));
	daemon_take(&w->d, generation_made(w, &setup));
}

/* What has changed since the last time, or is wrong with it. */
static void edit_settings(struct world *w)
{
	static const uint64_t holds[] = { 0, SECOND, 30 * SECOND, USEC_NEVER };

	w->read = w->setup;
	w->invalid = chance(w, 15);
	if (chance(w, 40))
		w->read.rules = rules_next(w, w->read.dns && chance(w, 80));
	if (chance(w, 20)) {
		w->read.command[CHILD_KUMA_DP] = ++w->last_number;
		w->read.drain_usec = some_time(w, 30 * SECOND);
	}
	if (chance(w, 20))
		w->read.command[CHILD_CORE_DNS] = ++w->last_number;
	if (chance(w, 30))
		w->read.hold_usec = holds[below(w, ELEMENTS(holds))];
	if (chance(w, 10))
		w->read.delay_usec = w->read.max_delay_usec = SECOND + some_time(w, 20 * SECOND);
	if (chance(w, 3))
		w->read.uid++;
}

static void a_reload_is_asked_for(struct world *w)
{
	enum reload_kind kind = (enum reload_kind)below(w, RELOAD_SIGNAL + 1);
	json_t *answer = NULL;
	bool later;

	edit_settings(w);
	/* One that is awaited is answered now, if another takes its place. */
	later = daemon_reload(&w->d, kind, &answer);
	tell(w, "it is %s",
	     later                                         ? "taken"
	     : json_is_true(json_object_get(answer, "ok")) ? "possible"
							   : "refused");
	json_decref(answer);
	if (!later && latest_of(&w->d)->number != w->taken)
		fail(w, "says that it refuses, and takes it");
	if (!later)
		return;
	generation_taken(w);
	if (kind == RELOAD_DRY || w->invalid || w->read.uid != w->setup.uid)
		fail(w, "takes a reload that it must not");
	if (kind != RELOAD_SIGNAL)
		oracle_reloaded(w);
}

static void the_operator_confirms(struct world *w)
{
	json_decref(confirm_answer(&w->d));
	w->memory.confirmed = true;
}

static void the_daemon_is_killed(struct world *w)
{
	daemon_dies(w);
}

static void the_status_is_asked_for(struct world *w)
{
	/* Whatever is to be done is done before anything is said. */
	pass(w, 0);
	if (w->alive)
		oracle_status(w);
}

static void the_daemon_is_replaced(struct world *w)
{
	pass(w, 0);
	if (w->alive)
		daemon_replaced(w);
}

static void nothing_happens(struct world *w)
{
	pass(w, 5 * SECOND + some_time(w, 60 * SECOND));
}

static const struct {
	const char *name;
	uint32_t weight;
	bool (*possible)(const struct world *w);
	void (*act)(struct world *w);
} events[] = {
	{ "kuma-dp crashes", 8, has_kuma_dp, kuma_dp_crashes },
	{ "Envoy crashes", 8, has_envoy, envoy_crashes },
	{ "coredns crashes", 6, has_core_dns, core_dns_crashes },
	{ "somebody is stopped", 5, has_kuma_dp, somebody_is_stopped },
	{ "all go on", 6, always, all_go_on },
	{ "somebody loops", 3, has_kuma_dp, somebody_loops },
	{ "loops end", 3, always, loops_end },
	{ "DNS fails", 4, runs, dns_fails },
	{ "answers get lost", 5, runs, answers_get_lost },
	{ "answers come late", 5, runs, answers_come_late },
	{ "rounds cannot begin", 1, runs, rounds_cannot_begin },
	{ "the lock is taken", 6, always, lock_is_taken },
	{ "the kernel refuses", 6, always, kernel_refuses },
	{ "the kernel does not tell", 2, always, kernel_does_not_tell },
	{ "others edit", 6, has_redirect, others_edit },
	{ "others work", 2, runs, others_work },
	{ "kumactl installs", 2, has_redirect, kumactl_installs },
	{ "the wall clock is set", 2, always, clock_is_set },
	{ "no process can be made", 3, always, no_process_can_be_made },
	{ "no file can be made", 3, always, no_file_can_be_made },
	{ "no record can be made", 3, always, no_record_can_be_made },
	{ "the control plane is away", 3, always, plane_is_away },
	{ "the control plane is back", 3, always, plane_is_back },
	{ "connections open", 3, always, connections_open },
	{ "connections close", 3, always, connections_close },
	{ "connections cannot be counted", 1, always, connections_cannot_be_counted },
	{ "asked to stop", 2, runs, asked_to_stop },
	{ "asked to stop again", 4, stops, asked_to_stop_again },
	{ "the daemon waits", 2, always, the_daemon_waits },
	{ "everything waits", 2, always, everything_waits },
	{ "name servers change", 4, runs, name_servers_change },
	{ "a reload is asked for", 6, always, a_reload_is_asked_for },
	{ "the operator confirms", 4, waits_for_confirmation, the_operator_confirms },
	{ "the daemon is killed", 1, always, the_daemon_is_killed },
	{ "the daemon is replaced", 3, always, the_daemon_is_replaced },
	{ "the status is asked for", 8, always, the_status_is_asked_for },
	{ "nothing happens", 3, always, nothing_happens },
};

const size_t n_events = ELEMENTS(events);

const char *event_name(size_t event)
{
	return events[event].name;
}

void event_happens(struct world *w)
{
	uint32_t sum = 0, number;
	size_t i = 0;

	for (size_t k = 0; k < ELEMENTS(events); k++)
		if (events[k].possible(w))
			sum += events[k].weight;
	number = below(w, sum);
	for (;; i++) {
		if (!events[i].possible(w))
			continue;
		if (number < events[i].weight)
			break;
		number -= events[i].weight;
	}
	tell(w, "* %s", events[i].name);
	w->counts[i]++;
	events[i].act(w);
}
