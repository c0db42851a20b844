/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Reloads: each kind of change in each situation, and what becomes of whoever waits for the outcome. */

#include "tests/process/loop.h"
#include "tests/process/manager.h"

#include <stdlib.h>
#include <sys/socket.h>

#define HOLD  (30 * SECOND)
#define DRAIN (30 * SECOND)

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = (int64_t)DRAIN * 1000 };
static const struct world_setup own_dns = { .core_dns = true,
					    .hold_nsec = (int64_t)HOLD * 1000,
					    .drain_nsec = (int64_t)DRAIN * 1000 };

/* What the next generation is to the current one; own_dns has coredns for all of them. */
enum kind {
	SAME,
	TIMES, /* another hold time: no more than a setting of the daemon */
	RULES,
	CORE_DNS, /* another Corefile */
	KUMA_DP,  /* another token, the same rules */
	KUMA_DP_AND_RULES,
	INVALID,
	IMPOSSIBLE, /* another user */
	KIND_COUNT,
};

static const char *const kind_names[] = { "same",    "times",      "rules",   "coredns",
					  "kuma-dp", "everything", "invalid", "impossible" };

static void other_command(struct generation *g, enum child_id id)
{
	g->command[id].path = arena_printf(&g->arena, "%s-%u", g->command[id].path, g->number);
	command_digest(&g->command[id], g->digest[id]);
}

static struct generation *next_generation(struct world *w, enum kind kind)
{
	struct world_setup setup = own_dns;
	bool rules = kind == RULES || kind == KUMA_DP_AND_RULES;
	unsigned number = latest_of(&w->d)->number + 1;
	struct generation *g;

	setup.core_dns = w->d.n_children == 2;
	if (kind == TIMES)
		setup.hold_nsec = 1000000000;
	g = paper_generation(&setup, rules ? number : 1);
	g->number = number;
	if (kind == CORE_DNS)
		other_command(g, CHILD_CORE_DNS);
	if (kind == KUMA_DP || kind == KUMA_DP_AND_RULES)
		other_command(g, CHILD_KUMA_DP);
	if (kind == INVALID)
		diag_add(&g->options.diags, SEVERITY_ERROR, NULL, "kumaDP.cpAddress", "is no URL");
	if (kind == IMPOSSIBLE)
		g->plan.user.uid = 4711;
	return g;
}

/* Returns the answer that is given at once, or NULL. */
static json_t *reload(struct world *w, enum kind kind, enum reload_kind how)
{
	json_t *answer = NULL;

	generation_free(w->loaded);
	w->loaded = next_generation(w, kind);
	if (daemon_reload(&w->d, how, &answer))
		cr_expect_null(answer);
	turn(w);
	return answer;
}

/* Time goes by, in which each round of probes finds this. */
static void pass(struct world *w, uint64_t usec, bool proxy, bool dns)
{
	uint64_t end = w->now + usec;

	while (round_due(w) <= end) {
		advance(w, round_due(w) - w->now);
		if (!w->probing)
			break; /* it was given up meanwhile */
		probed(w, proxy, dns);
	}
	advance(w, end - w->now);
}

/* A round may have begun before the child was started: the next one counts. */
static void serves(struct world *w)
{
	probed(w, true, true);
	probed(w, true, true);
}

static const char *text_of(const json_t *answer, const char *name)
{
	const char *text = json_string_value(json_object_get(answer, name));

	return text ? text : "";
}

static void expect_answer(struct world *w, const char *text)
{
	cr_assert_not_null(w->answer);
	cr_expect_str_eq(text_of(w->answer, "text"), text);
}

Test(loop_reload, that_changes_nothing_does_nothing)
{
	struct world w;

	world_up(&w, &usual);
	cr_expect_null(reload(&w, SAME, RELOAD_ASKED));
	did(&w, "reply:yes");
	expect_answer(&w, "nothing changes");
	cr_expect_eq(w.d.current->number, 2);
	cr_expect_eq(w.d.carry.situation.applied_generation, 2);
	cr_expect_null(w.d.applied);
	world_done(&w);
}

Test(loop_reload, of_rules_is_one_apply)
{
	struct world w;

	world_up(&w, &usual);
	cr_expect_null(reload(&w, RULES, RELOAD_ASKED));
	did(&w, "apply:full reply:yes");
	expect_answer(&w, "the rules change");
	cr_expect_eq(json_integer_value(json_object_get(w.answer, "generation")), 2);
	cr_expect_eq(w.last_generation, 2);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop_reload, of_times_counts_at_once)
{
	struct world w;

	world_up(&w, &usual);
	(void)reload(&w, TIMES, RELOAD_ASKED);
	did(&w, "reply:yes");
	expect_answer(&w, "tproxyd takes over its own settings");
	probed(&w, false, true);
	probed(&w, false, true);
	advance(&w, 1100 * MSEC);
	did(&w, "apply:drain");
	world_done(&w);
}

Test(loop_reload, keeps_the_rules_until_the_new_kuma_dp_serves)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	cr_expect_null(reload(&w, KUMA_DP_AND_RULES, RELOAD_ASKED));
	did(&w, "TERM:kuma-dp");
	/* It counts as serving while it drains, whatever Envoy calls itself. */
	for (uint64_t end = w.now + 10 * SECOND; w.now < end;) {
		answered(&w, &(struct probe_result){ .alive = true,
						     .listeners = true,
						     .dns = true,
						     .envoy = ENVOY_PID });
	}
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	w.connections = 0;
	advance(&w, 200 * MSEC);
	did(&w, "TERM:kuma-dp");
	envoy_ends(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:no-dns sweep-session start:kuma-dp");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	cr_expect_eq(w.d.current->number, 1);
	serves(&w);
	did(&w, "apply:full reply:yes");
	expect_answer(&w, "the rules change, kuma-dp restarts");
	cr_expect_eq(w.last_generation, 2);
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	world_done(&w);
}

Test(loop_reload, of_the_token_changes_no_rule)
{
	struct world w;

	world_up(&w, &usual);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "TERM:kuma-dp sweep-session start:kuma-dp apply:no-dns");
	cr_expect_eq(w.d.current->number, 2);
	cr_expect_null(w.answer);
	serves(&w);
	did(&w, "apply:full reply:yes");
	cr_expect_eq(w.d.carry.situation.applied_generation, 2);
	world_done(&w);
}

Test(loop_reload, of_the_corefile_restarts_coredns_alone)
{
	struct world w;

	world_up(&w, &own_dns);
	(void)reload(&w, CORE_DNS, RELOAD_ASKED);
	did(&w, "TERM:coredns");
	child_exits(&w, CHILD_CORE_DNS, 0);
	did(&w, "sweep-session start:coredns apply:no-dns");
	serves(&w);
	did(&w, "apply:full reply:yes");
	expect_answer(&w, "our own coredns restarts");
	world_done(&w);
}

Test(loop_reload, that_is_invalid_changes_nothing)
{
	struct world w;
	json_t *answer;

	world_up(&w, &usual);
	answer = reload(&w, INVALID, RELOAD_ASKED);
	did(&w, "");
	cr_expect_eq(json_integer_value(json_object_get(answer, "exit-status")), 78);
	cr_expect_str_eq(json_string_value(json_array_get(json_object_get(answer, "messages"), 0)),
			 "error: kumaDP.cpAddress: is no URL");
	cr_expect_eq(w.d.current->number, 1);
	cr_expect_null(w.d.next);
	json_decref(answer);
	answer = reload(&w, IMPOSSIBLE, RELOAD_ASKED);
	did(&w, "");
	cr_expect_eq(json_integer_value(json_object_get(answer, "exit-status")), 1);
	cr_expect(strstr(text_of(answer, "error"), "UID 4711"));
	json_decref(answer);
	world_done(&w);
}

Test(loop_reload, dry_says_what_would_happen)
{
	struct world w;
	json_t *answer;

	world_up(&w, &usual);
	answer = reload(&w, KUMA_DP_AND_RULES, RELOAD_DRY);
	did(&w, "");
	cr_expect_str_eq(text_of(answer, "text"), "the rules change, kuma-dp restarts");
	cr_expect_null(w.d.next);
	json_decref(answer);
	world_done(&w);
}

Test(loop_reload, that_cannot_be_loaded_says_why)
{
	struct world w;
	json_t *answer = NULL;

	world_up(&w, &usual);
	cr_expect_not(daemon_reload(&w.d, RELOAD_ASKED, &answer));
	cr_expect_str_eq(text_of(answer, "error"), "nothing can be read");
	json_decref(answer);
	asked_to_stop(&w);
	answer = reload(&w, RULES, RELOAD_ASKED);
	cr_expect_str_eq(text_of(answer, "error"), "the service is stopping");
	json_decref(answer);
	world_done(&w);
}

Test(loop_reload, waits_for_no_proxy_that_was_down_before)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, true);
	probed(&w, false, true);
	(void)reload(&w, RULES, RELOAD_ASKED);
	did(&w, "reply:yes");
	cr_expect_str_eq(text_of(w.answer, "note"), "the rules come in when the proxy serves");
	cr_expect_eq(w.d.current->number, 1);
	probed(&w, true, true);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	world_done(&w);
}

/* What is held already is held no longer than the new time says, counted from the loss on. */
Test(loop_reload, of_the_hold_time_counts_while_the_rules_are_held)
{
	struct world_setup setup = usual;
	struct world w;

	setup.hold_nsec = DURATION_INFINITY;
	world_up(&w, &setup);
	probed(&w, false, true);
	probed(&w, false, true);
	advance(&w, 500 * MSEC);
	did(&w, "");
	(void)reload(&w, TIMES, RELOAD_ASKED);
	did(&w, "reply:yes");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	advance(&w, 600 * MSEC);
	did(&w, "apply:drain");
	cr_expect_eq(phase_of(&w), PHASE_RELEASED);
	world_done(&w);
}

/* While a start is under way nothing is in: what was read last is what goes on. */
Test(loop_reload, during_a_start_is_taken_over_at_once)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	did(&w, "apply:none start:kuma-dp");
	pass(&w, 100 * SECOND, false, false);
	(void)reload(&w, KUMA_DP_AND_RULES, RELOAD_ASKED);
	did(&w, "TERM:kuma-dp reply:yes");
	cr_expect_str_eq(text_of(w.answer, "note"), "the start goes on with it");
	cr_expect_eq(w.d.current->number, 2);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "sweep-session start:kuma-dp");
	/* It has its whole time again. */
	pass(&w, 100 * SECOND, false, false);
	did(&w, "");
	serves(&w);
	did(&w, "apply:full take-over");
	cr_expect_eq(w.last_generation, 2);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	child_exits(&w, CHILD_KUMA_DP, 0);
	world_done(&w);

	/* Nor is it waited for without end. */
	world_init(&w, &usual);
	turn(&w);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	child_exits(&w, CHILD_KUMA_DP, 0);
	pass(&w, 181 * SECOND, false, false);
	cr_expect(strstr(w.d.status, "The proxy did not serve within 180 s"), "%s", w.d.status);
	world_done(&w);
}

/* A host whose name servers change all the time would wait without end. */
Test(loop_reload, that_leaves_kuma_dp_as_it_is_does_not_lengthen_its_start)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	for (unsigned i = 0; i < 3; i++) {
		pass(&w, 50 * SECOND, false, false);
		(void)reload(&w, RULES, RELOAD_SIGNAL);
	}
	cr_expect_eq(w.d.current->number, 4);
	cr_expect_null(strstr(w.d.status, "did not serve"), "%s", w.d.status);
	pass(&w, 31 * SECOND, false, false);
	cr_expect(strstr(w.d.status, "The proxy did not serve within 180 s"), "%s", w.d.status);
	world_done(&w);
}

/* A start that is refused by the control plane, with the one more start timed. */
static void start_that_is_refused(struct world *w)
{
	world_init(w, &usual);
	turn(w);
	advance(w, 500 * MSEC);
	daemon_refused(&w->d);
	turn(w);
	cr_assert(refusal_start_is_timed(&w->d.control_plane.refusal));
	w->book[0] = '\0';
}

Test(loop_reload, leaves_the_timed_start_where_it_is)
{
	struct world w;

	start_that_is_refused(&w);
	(void)reload(&w, RULES, RELOAD_SIGNAL);
	pass(&w, 5 * SECOND, false, false);
	cr_expect_null(strstr(w.book, "TERM"), "%s", w.book);
	pass(&w, 5 * SECOND, false, false);
	cr_expect(strstr(w.book, "TERM:kuma-dp"), "%s", w.book);
	child_exits(&w, CHILD_KUMA_DP, 0);
	world_done(&w);
}

Test(loop, times_no_start_for_a_proxy_that_was_taken_all_the_same)
{
	struct world w;

	start_that_is_refused(&w);
	/* It has listeners, and DNS does not answer yet. */
	pass(&w, 100 * SECOND, true, false);
	cr_expect_null(strstr(w.book, "TERM"), "%s", w.book);
	cr_expect_not(refusal_start_is_timed(&w.d.control_plane.refusal));
	pass(&w, 81 * SECOND, true, false);
	cr_expect(strstr(w.d.status, "The proxy did not serve within 180 s"), "%s", w.d.status);
	world_done(&w);
}

Test(loop_reload, tells_after_a_while_that_kuma_dp_does_not_serve)
{
	struct world w;

	world_up(&w, &usual);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	child_exits(&w, CHILD_KUMA_DP, 0);
	/* The drain, the kill, and the time that a start has. */
	pass(&w, 170 * SECOND, false, false);
	cr_expect_null(w.answer);
	for (int n = 0; n < 2; n++) {
		pass(&w, 20 * SECOND, false, false);
		if (proc_of(&w.d, CHILD_KUMA_DP)->state == PROC_ENDING)
			child_exits(&w, CHILD_KUMA_DP, 0);
		w.book[0] = '\0';
	}
	pass(&w, 20 * SECOND, false, false);
	cr_expect_str_eq(text_of(w.answer, "error"),
			 "the proxy does not serve with the new configuration yet; missing: "
			 "something");
	/* A token that was mended is another reload. */
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	child_exits(&w, CHILD_KUMA_DP, 0);
	serves(&w);
	expect_answer(&w, "kuma-dp restarts");
	world_done(&w);
}

Test(loop_reload, tells_after_a_while_that_others_keep_the_rules_busy)
{
	struct world w;

	world_up(&w, &usual);
	w.apply_always = NETFILTER_BUSY;
	(void)reload(&w, RULES, RELOAD_ASKED);
	advance(&w, 9 * SECOND);
	cr_expect_null(w.answer);
	w.book[0] = '\0';
	advance(&w, 2 * SECOND);
	cr_expect(strstr(text_of(w.answer, "error"), "the rules are not in yet: "), "%s",
		  text_of(w.answer, "error"));
	w.book[0] = '\0';
	w.apply_always = 0;
	advance(&w, SECOND);
	did(&w, "apply:full");
	cr_expect_eq(w.last_generation, 2);
	world_done(&w);
}

Test(loop_reload, takes_the_place_of_one_that_waits)
{
	struct world w;

	world_up(&w, &usual);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	(void)reload(&w, SAME, RELOAD_ASKED);
	did(&w, "TERM:kuma-dp reply:no");
	cr_expect_str_eq(text_of(w.answer, "error"),
			 "another reload has taken the place of this one");
	child_exits(&w, CHILD_KUMA_DP, 0);
	serves(&w);
	did(&w, "sweep-session start:kuma-dp apply:no-dns apply:full reply:yes");
	world_done(&w);
}

/* What the first one needed has not come true yet. */
Test(loop_reload, waits_for_what_an_earlier_one_needed)
{
	json_t *answer = NULL;
	struct world w;

	world_up(&w, &usual);
	json_decref(reload(&w, KUMA_DP, RELOAD_ASKED));
	w.loaded = next_generation(&w, RULES);
	w.loaded->command[CHILD_KUMA_DP].path = w.d.next->command[CHILD_KUMA_DP].path;
	command_digest(&w.loaded->command[CHILD_KUMA_DP], w.loaded->digest[CHILD_KUMA_DP]);
	cr_expect(daemon_reload(&w.d, RELOAD_ASKED, &answer));
	turn(&w);
	cr_expect_null(strstr(w.book, "reply:yes"), "%s", w.book);
	child_exits(&w, CHILD_KUMA_DP, 0);
	serves(&w);
	cr_expect(strstr(w.book, "reply:yes"), "%s", w.book);
	world_done(&w);
}

/* The one that drained has ended: the next one is not told to, and nobody looks for ever. */
Test(loop_reload, ends_the_look_at_connections_with_the_kuma_dp_that_drained)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	json_decref(reload(&w, KUMA_DP, RELOAD_ASKED));
	child_exits(&w, CHILD_KUMA_DP, 0);
	serves(&w);
	advance(&w, SECOND);
	cr_expect_not(w.d.armed[TIMER_DRAIN]);
	w.connections = 0;
	advance(&w, SECOND);
	cr_expect_eq(proc_of(&w.d, CHILD_KUMA_DP)->state, PROC_READY);
	world_done(&w);
}

/* It hung before it was asked to end: that it still listens says nothing. */
Test(loop_reload, does_not_take_a_kuma_dp_that_hangs_for_one_that_drains)
{
	struct world w;

	world_up(&w, &usual);
	probed(&w, false, false);
	probed(&w, false, false);
	json_decref(reload(&w, KUMA_DP, RELOAD_ASKED));
	w.book[0] = '\0';
	for (int i = 0; i < 3; i++) {
		answered(&w, &(struct probe_result){ .listeners = true, .dns = true });
	}
	cr_expect_not(w.d.carry.situation.proxy_serving);
	world_done(&w);
}

Test(loop_reload, does_not_take_an_envoy_that_hangs_for_one_that_drains)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	json_decref(reload(&w, KUMA_DP, RELOAD_ASKED));
	w.book[0] = '\0';
	for (int i = 0; i < 2; i++)
		answered(&w, &(struct probe_result){ .listeners = true, .dns = true });
	cr_expect_not(w.d.carry.situation.proxy_serving);
	world_done(&w);
}

/* Until the next rules come in, nobody else is asked whether DNS is answered. */
Test(loop_reload, asks_about_the_dns_that_is_redirected)
{
	struct world w;
	json_t *answer = NULL;

	world_up(&w, &own_dns);
	w.d.current->plan.dns_port = 15053;
	w.loaded = next_generation(&w, KUMA_DP_AND_RULES);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		w.loaded->plan.family[f].dns = false;
	w.loaded->plan.dns_port = 5353;
	cr_expect(daemon_reload(&w.d, RELOAD_ASKED, &answer));
	turn(&w);
	envoy_ends(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	probed(&w, false, true);
	advance(&w, 2 * SECOND);
	cr_assert(w.probing);
	cr_expect_eq(w.dns_port, 15053);
	world_done(&w);
}

Test(loop_reload, that_waits_is_told_of_a_stop)
{
	struct world w;

	world_up(&w, &usual);
	(void)reload(&w, KUMA_DP, RELOAD_ASKED);
	asked_to_stop(&w);
	did(&w, "TERM:kuma-dp apply:drain reply:no");
	cr_expect_str_eq(text_of(w.answer, "error"), "the service is stopping");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

/* All that systemd was told, in one text. */
static const char *told(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 2 &&
	       (n = recv(fd, text + len, sizeof(text) - 2 - len, 0)) > 0) {
		len += (size_t)n;
		text[len++] = '\n';
	}
	text[len] = '\0';
	return text;
}

Test(loop_reload, tells_systemd_when_it_begins_and_when_it_is_over)
{
	const char *text, *reloading;
	struct world w;
	int fd;

	world_up(&w, &usual);
	fd = manager_new();
	(void)reload(&w, RULES, RELOAD_ASKED);
	text = told(fd);
	reloading = strstr(text, "RELOADING=1\nMONOTONIC_USEC=1000");
	cr_expect(reloading && strstr(reloading, "READY=1"), "%s", text);
	json_decref(reload(&w, INVALID, RELOAD_ASKED));
	text = told(fd);
	reloading = strstr(text, "RELOADING=1");
	cr_expect(reloading && strstr(reloading, "READY=1"), "%s", text);
	json_decref(reload(&w, SAME, RELOAD_DRY));
	cr_expect_str_eq(told(fd), "");
	(void)reload(&w, KUMA_DP, RELOAD_SIGNAL);
	cr_expect_not(strstr(told(fd), "READY=1"));
	/* One that fails meanwhile does not end the other. */
	json_decref(reload(&w, INVALID, RELOAD_SIGNAL));
	cr_expect_not(strstr(told(fd), "READY=1"));
	w.book[0] = '\0';
	child_exits(&w, CHILD_KUMA_DP, 0);
	serves(&w);
	cr_expect(strstr(told(fd), "READY=1"));
	world_done(&w);
	(void)unsetenv("NOTIFY_SOCKET");
}

static void serving(struct world *w)
{
	world_up(w, &own_dns);
}

static void degraded(struct world *w)
{
	world_up(w, &own_dns);
	probed(w, true, false);
	probed(w, true, false);
	cr_assert_eq(phase_of(w), PHASE_DEGRADED);
}

static void held(struct world *w)
{
	world_up(w, &own_dns);
	probed(w, false, true);
	probed(w, false, true);
	cr_assert_eq(phase_of(w), PHASE_HOLDING);
}

static void released(struct world *w)
{
	held(w);
	pass(w, 8 * SECOND, false, true);
	if (child_lives(&w->d, CHILD_KUMA_DP) &&
	    proc_of(&w->d, CHILD_KUMA_DP)->state != PROC_FAILING)
		child_exits(w, CHILD_KUMA_DP, 0);
	advance(w, HOLD);
	cr_assert_eq(phase_of(w), PHASE_RELEASED);
}

static void restarting(struct world *w)
{
	world_up(w, &own_dns);
	(void)reload(w, KUMA_DP, RELOAD_SIGNAL);
	cr_assert_eq(proc_of(&w->d, CHILD_KUMA_DP)->state, PROC_RESTARTING);
}

static void starting(struct world *w)
{
	world_init(w, &own_dns);
	turn(w);
}

static void draining(struct world *w)
{
	world_up(w, &own_dns);
	w->connections = 1;
	asked_to_stop(w);
	cr_assert_eq(phase_of(w), PHASE_DRAINING);
}

/* Lets all that is under way come to its end: whoever is asked to end does, and all serve. */
static void settle(struct world *w)
{
	for (int n = 0; n < 30 && !w->ended; n++) {
		for (enum child_id id = 0; id < w->d.n_children; id++) {
			enum proc_state state = proc_of(&w->d, id)->state;

			if (child_lives(&w->d, id) &&
			    (state == PROC_STOPPING || state == PROC_RESTARTING))
				child_exits(w, id, 0);
		}
		w->book[0] = '\0';
		if (situation_of(&w->d)->wish == WISH_RUN)
			probed(w, true, true);
		else
			advance(w, SECOND);
	}
}

/* Where everything ends, in whatever situation the reload was asked for: the rules and children of
 * what is valid, or of what was before; and nobody is left without an answer. */
static void check(void (*situation)(struct world *w), enum kind kind, const char *name)
{
	bool possible = kind != INVALID && kind != IMPOSSIBLE;
	struct generation *latest;
	struct world w;
	enum level before;
	unsigned expected;
	json_t *answer;

	situation(&w);
	before = w.kernel;
	w.book[0] = '\0';
	expected = latest_of(&w.d)->number;
	answer = reload(&w, kind, RELOAD_ASKED);
	if (situation == draining)
		cr_expect_str_eq(text_of(answer, "error"), "the service is stopping");
	else if (possible)
		expected++;
	cr_expect_eq(answer == NULL, possible && situation != draining, "%s, %s", name,
		     kind_names[kind]);
	json_decref(answer);
	/* Nothing that is in goes for it, but the DNS of a coredns that is not there. */
	cr_expect(w.kernel == before || w.kernel == LEVEL_NO_DNS, "%s, %s", name, kind_names[kind]);
	settle(&w);
	if (situation == draining) {
		cr_expect(w.ended && w.status == 0);
		world_done(&w);
		return;
	}
	latest = w.d.current;
	cr_expect_null(w.d.next, "%s, %s", name, kind_names[kind]);
	cr_expect_null(w.d.applied);
	cr_expect_eq(latest->number, expected, "%s, %s: %u", name, kind_names[kind],
		     latest->number);
	cr_expect_eq(w.kernel, LEVEL_FULL, "%s, %s", name, kind_names[kind]);
	cr_expect_eq(w.d.carry.situation.applied_generation, expected);
	for (enum child_id id = 0; id < w.d.n_children; id++)
		cr_expect(daemon_child_is_of(&w.d, id, latest), "%s, %s", name, kind_names[kind]);
	cr_expect(!possible || w.answer, "%s, %s: no answer", name, kind_names[kind]);
	cr_expect_eq(w.d.reload.generation, 0);
	world_done(&w);
}

Test(loop_reload, of_each_kind_ends_well_in_each_situation)
{
	static const struct {
		const char *name;
		void (*make)(struct world *w);
	} situations[] = {
		{ "serving", serving },       { "degraded", degraded }, { "held", held },
		{ "released", released },     { "starting", starting }, { "draining", draining },
		{ "restarting", restarting },
	};

	for (size_t i = 0; i < ELEMENTS(situations); i++)
		for (enum kind kind = 0; kind < KIND_COUNT; kind++)
			check(situations[i].make, kind, situations[i].name);
}
