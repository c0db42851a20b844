/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Ends: asked to stop once and again, deaths of processes, starts that fail. */

#include "tests/process/loop.h"
#include "tests/process/manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/loop/daemon.h"

#define HOLD  (30 * SECOND)
#define DRAIN (30 * SECOND)

static const struct world_setup usual = { .hold_nsec = (int64_t)HOLD * 1000,
					  .drain_nsec = (int64_t)DRAIN * 1000 };
static const struct world_setup own_dns = { .core_dns = true,
					    .hold_nsec = (int64_t)HOLD * 1000,
					    .drain_nsec = (int64_t)DRAIN * 1000 };

Test(loop, drains_as_long_as_redirected_connections_are_open)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 3;
	asked_to_stop(&w);
	did(&w, "apply:drain TERM:kuma-dp");
	cr_expect_eq(phase_of(&w), PHASE_DRAINING);
	advance(&w, 10 * SECOND);
	did(&w, "");
	cr_expect_str_eq(w.d.status,
			 "Draining: 3 redirected connections are open, for at most 20 s");
	w.connections = 0;
	advance(&w, 110 * MSEC);
	did(&w, "TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(loop, kills_a_kuma_dp_that_outlives_its_drain)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	asked_to_stop(&w);
	advance(&w, DRAIN + 9 * SECOND);
	did(&w, "apply:drain TERM:kuma-dp");
	advance(&w, 2 * SECOND);
	did(&w, "KILL:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(loop, does_not_end_a_drain_that_it_cannot_see)
{
	struct world w;

	world_up(&w, &usual);
	w.connections_result = -EPERM;
	asked_to_stop(&w);
	advance(&w, 20 * SECOND);
	did(&w, "apply:drain TERM:kuma-dp");
	world_done(&w);
}

Test(loop, ends_a_start_that_failed_although_it_cannot_see_connections)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	w.connections_result = -EMFILE;
	asked_to_stop(&w);
	advance(&w, SECOND);
	did(&w, "TERM:kuma-dp TERM:kuma-dp");
	world_done(&w);
}

Test(loop, does_not_wait_for_connections_when_it_is_asked_again)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 3;
	asked_to_stop(&w);
	asked_to_stop(&w);
	did(&w, "apply:drain TERM:kuma-dp");
	advance(&w, 300 * MSEC);
	did(&w, "TERM:kuma-dp");
	asked_to_stop(&w);
	advance(&w, SECOND);
	did(&w, "");
	world_done(&w);
}

Test(loop, stops_before_anything_serves)
{
	struct world w;

	world_init(&w, &own_dns);
	turn(&w);
	w.book[0] = '\0';
	asked_to_stop(&w);
	did(&w, "TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "TERM:coredns");
	child_exits(&w, CHILD_CORE_DNS, 0);
	did(&w, "sweep exit:0");
	world_done(&w);
}

Test(loop, starts_nothing_when_it_was_asked_to_stop_before)
{
	struct world w;

	world_init(&w, &usual);
	asked_to_stop(&w);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(loop, sweeps_a_coredns_that_does_not_end)
{
	struct world w;

	world_up(&w, &own_dns);
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:drain TERM:kuma-dp apply:none TERM:coredns");
	w.left = 2;
	advance(&w, 290 * MSEC);
	did(&w, "");
	advance(&w, 20 * MSEC);
	cr_expect(strstr(w.book, "sweep"));
	w.book[0] = '\0';
	child_exits(&w, CHILD_CORE_DNS, 0);
	advance(&w, 100 * MSEC);
	cr_expect(strstr(w.book, "exit:0"), "%s", w.book);
	world_done(&w);
}

Test(loop, sweeps_until_none_is_left_and_not_for_ever)
{
	struct world w;

	world_up(&w, &usual);
	w.left = 3;
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:drain TERM:kuma-dp apply:none sweep");
	advance(&w, 100 * MSEC);
	did(&w, "sweep sweep sweep exit:0");
	world_done(&w);

	world_up(&w, &usual);
	w.left = 1000;
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	advance(&w, 3 * SECOND);
	cr_expect(w.ended);
	world_done(&w);
}

/* The book at the moment at which systemd hears of the end. */
static const char *book_when_told(int fd, struct world *w)
{
	static char text[sizeof(w->book)];
	char said[2048];

	cr_expect_lt(recv(fd, said, sizeof(said), 0), 0, "told before anything is done");
	turn(w);
	memcpy(text, w->book, sizeof(text));
	cr_expect_gt(recv(fd, said, sizeof(said), 0), 0);
	return text;
}

Test(loop, sees_to_the_rules_before_it_tells_of_an_end)
{
	struct world w;
	int fd;

	world_init(&w, &usual);
	turn(&w);
	probed(&w, true, false);
	w.book[0] = '\0';
	fd = manager_new();
	daemon_envoy_ended(&w.d);
	cr_expect_str_eq(book_when_told(fd, &w), "TERM:kuma-dp");
	world_done(&w);
	(void)unsetenv("NOTIFY_SOCKET");

	world_up(&w, &usual);
	fd = manager_new();
	daemon_stop(&w.d);
	cr_expect_str_eq(book_when_told(fd, &w), "apply:drain TERM:kuma-dp");
	world_done(&w);
}

static int break_loop(sd_event_source *source, void *userdata)
{
	const int *other = userdata;

	return dup3(*other, sd_event_get_fd(sd_event_source_get_event(source)), O_CLOEXEC);
}

Test(loop, takes_the_rules_out_when_the_event_loop_itself_fails)
{
	struct error err = { 0 };
	struct world w;
	int fd = eventfd(0, EFD_CLOEXEC);

	world_up(&w, &usual);
	cr_assert_geq(sd_event_new(&w.d.event), 0);
	cr_assert_geq(sd_event_add_defer(w.d.event, NULL, break_loop, &fd), 0);
	cr_expect_lt(daemon_run(&w.d, &err), 0);
	cr_expect(strstr(err.text, "run the event loop: "), "%s", err.text);
	did(&w, "apply:none");
	sd_event_unref(w.d.event);
	world_done(&w);
}

Test(loop, fails_a_start_that_takes_too_long)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	probed(&w, true, false);
	advance(&w, 181 * SECOND);
	cr_expect(strstr(w.d.status, "The proxy did not serve within 180 s; missing: something"),
		  "%s", w.d.status);
	did(&w, "TERM:kuma-dp TERM:kuma-dp");
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "sweep exit:1");
	world_done(&w);
}

Test(loop, fails_a_start_whose_child_dies)
{
	struct world w;

	world_init(&w, &own_dns);
	turn(&w);
	w.book[0] = '\0';
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "TERM:coredns");
	cr_expect(strstr(w.d.status, "kuma-dp exited with status 1; envoy said: no"), "%s",
		  w.d.status);
	child_exits(&w, CHILD_CORE_DNS, 0);
	did(&w, "sweep exit:1");
	world_done(&w);

	world_init(&w, &own_dns);
	turn(&w);
	w.book[0] = '\0';
	child_exits(&w, CHILD_CORE_DNS, 2);
	did(&w, "TERM:kuma-dp");
	cr_expect(strstr(w.d.status, "coredns exited with status 2"), "%s", w.d.status);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "sweep exit:1");
	world_done(&w);

	world_init(&w, &usual);
	turn(&w);
	w.book[0] = '\0';
	probed(&w, true, false);
	envoy_ends(&w);
	did(&w, "TERM:kuma-dp");
	cr_expect_str_eq(w.d.status, "Envoy (process 200) ended");
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "sweep exit:1");
	world_done(&w);
}

/* The first start is over with READY=1, not when the proxy serves. */
Test(loop, fails_a_start_that_serves_and_dies_before_its_rules_are_in)
{
	struct world w;

	world_init(&w, &usual);
	turn(&w);
	w.apply_always = NETFILTER_BUSY;
	probed(&w, true, true);
	w.book[0] = '\0';
	child_exits(&w, CHILD_KUMA_DP, 1);
	cr_expect_eq(w.d.carry.situation.wish, WISH_STOP);
	world_done(&w);
}

Test(loop, fails_a_start_whose_child_cannot_be_started)
{
	struct world w;

	world_init(&w, &usual);
	w.spawn_result = -ENOENT;
	turn(&w);
	did(&w, "apply:none start:kuma-dp sweep exit:1");
	world_done(&w);
}

/* xorshift: the same numbers everywhere. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void happen(struct world *w, uint32_t what)
{
	switch (what % 13) {
	case 0:
		asked_to_stop(w);
		break;
	case 1:
		if (child_lives(&w->d, CHILD_KUMA_DP))
			child_exits(w, CHILD_KUMA_DP, 1);
		break;
	case 2:
		if (child_lives(&w->d, CHILD_CORE_DNS))
			child_exits(w, CHILD_CORE_DNS, 1);
		break;
	case 3:
		if (w->d.probe.envoy)
			envoy_ends(w);
		break;
	case 4:
		w->apply_always = what & 0x1000 ? -EIO : what & 0x2000 ? NETFILTER_BUSY : 0;
		break;
	case 5:
		advance(w, what % (40 * SECOND));
		break;
	case 6:
		w->connections = what & 0x100 ? 2 : 0;
		break;
	case 7:
		if (!w->d.next && what & 0x100)
			w->d.next = paper_generation(&own_dns, w->d.current->number + 1);
		w->woken = true;
		turn(w);
		break;
	case 8:
		w->difference = what & 0x100 ? "ipv4 nat: all 21 rules are gone" : NULL;
		if (what & 0x200)
			daemon_disturbed(&w->d, NULL);
		turn(w);
		break;
	default:
		if (w->probing) {
			answered(w, &(struct probe_result){ .admin = what & 0x100,
							    .listeners = what & 0x100,
							    .dns = what & 0x200,
							    .core_dns = what & 0x600,
							    .kuma_dp = what & 0x7800,
							    .control_plane = (what >> 16) % 3,
							    .envoy = ENVOY_PID });
		}
		break;
	}
}

/* The second request comes before kuma-dp could be asked for the first. */
Test(loop, does_not_drain_when_it_was_asked_twice_while_others_were_busy)
{
	struct world w;

	world_up(&w, &usual);
	w.connections = 1;
	w.apply_always = NETFILTER_BUSY;
	asked_to_stop(&w);
	asked_to_stop(&w);
	w.apply_always = 0;
	w.book[0] = '\0';
	advance(&w, SECOND);
	did(&w, "apply:drain TERM:kuma-dp TERM:kuma-dp");
	world_done(&w);
}

#ifdef LOOP_REPLACED
#define SEEDS 60
#else
#define SEEDS 3000
#endif

/* After whatever has happened: what is said is what is in, and a stop ends. */
Test(loop, ends_from_everywhere)
{
	for (uint32_t seed = 1; seed <= SEEDS; seed++) {
		uint32_t state = seed * 2654435761U;
		struct world w;

		world_init(&w, seed & 1 ? &own_dns : &usual);
		turn(&w);
		for (int n = 0; n < 60 && !w.ended; n++) {
			w.book[0] = '\0';
			happen(&w, next_random(&state));
			if (w.d.carry.situation.applied != LEVEL_UNKNOWN)
				cr_assert_eq(w.d.carry.situation.applied, w.kernel, "seed %u",
					     seed);
			if (w.kernel == LEVEL_FULL || w.kernel == LEVEL_NO_DNS)
				cr_assert(w.d.carry.situation.served, "seed %u", seed);
		}
		if (!w.ended && w.d.carry.situation.wish == WISH_RUN)
			asked_to_stop(&w);
		for (int n = 0; n < 4 && !w.ended; n++) {
			w.book[0] = '\0';
			advance(&w, 60 * SECOND);
			for (enum child_id id = 0; id < CHILD_COUNT; id++)
				if (child_lives(&w.d, id) &&
				    w.d.child[id].proc.state == PROC_STOPPING)
					child_exits(&w, id, 0);
		}
		cr_assert(w.ended, "seed %u does not end", seed);
		cr_assert(w.kernel == LEVEL_NONE || w.status == 1, "seed %u", seed);
		cr_assert_not(child_lives(&w.d, CHILD_KUMA_DP), "seed %u", seed);
		world_done(&w);
	}
}

/* Where the service manager starts us again after a failure, nobody gets the ports in between; after a
 * stop, or where they may be what has kept the proxy away, they are given back. */
Test(loop, gives_the_ports_back_unless_they_are_needed_again)
{
	struct world w;

	world_up(&w, &(struct world_setup){ 0 });
	cr_expect(w.reserved);
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	cr_expect(w.ended && !w.reserved);
	world_done(&w);

	world_init(&w, &(struct world_setup){ 0 });
	turn(&w);
	w.apply_always = NETFILTER_BUSY;
	probed(&w, true, true);
	w.apply_always = 0;
	child_exits(&w, CHILD_KUMA_DP, 1);
	cr_expect(w.ended && w.reserved);
	cr_expect_eq(w.status, EXIT_FAILURE);
	world_done(&w);

	world_init(&w, &(struct world_setup){ 0 });
	w.reserved = true; /* of a predecessor */
	turn(&w);
	child_exits(&w, CHILD_KUMA_DP, 1);
	cr_expect(w.ended && !w.reserved);
	world_done(&w);
}
