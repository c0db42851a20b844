/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rules that are held without end outlive the daemon: systemd has what they live by. */

#include "tests/process/loop.h"

#include <fcntl.h>
#include <unistd.h>

#include "daemon/loop/stored.h"

#define HOLD_30S ((int64_t)30 * 1000000000)
#define A_FD     1000 /* of nothing: paper neither uses nor closes it */

static const struct world_setup endless = { .hold_nsec = DURATION_INFINITY };
static const struct world_setup ends = { .hold_nsec = HOLD_30S };

static struct netfilter_backend owning(void)
{
	struct netfilter_backend backend = paper_backend;

	backend.owns = true;
	return backend;
}

/* Under a systemd, with a backend whose tables live by a descriptor. */
static void init(struct world *w, const struct world_setup *setup,
		 const struct netfilter_backend *backend)
{
	world_init(w, setup);
	w->d.redirect.backend = backend;
	w->d.redirect.channel = (struct netfilter_channel){ .fd = A_FD, .owned = true };
	w->d.stores = true;
}

static void up(struct world *w, const struct world_setup *setup,
	       const struct netfilter_backend *backend)
{
	init(w, setup, backend);
	turn(w);
	probed(w, true, true);
	cr_assert_eq(phase_of(w), PHASE_REDIRECTING);
}

static void reload(struct world *w, const struct world_setup *setup)
{
	json_t *answer = NULL;

	w->loaded = paper_generation(setup, 2);
	/* The same rules. */
	w->loaded->rules[LEVEL_FULL].family[FAMILY_V4].table[TABLE_NAT].chains->name = "OURS_1";
	if (!daemon_reload(&w->d, RELOAD_ASKED, &answer))
		json_decref(answer);
	turn(w);
}

Test(stored, holds_without_end_are_stored_once_they_are_in)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	up(&w, &endless, &backend);
	did(&w, "apply:none start:kuma-dp apply:full take-over store");
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_FULL);
	probed(&w, true, false);
	probed(&w, true, false);
	did(&w, "apply:no-dns");
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_NO_DNS);
	asked_to_stop(&w);
	did(&w, "apply:drain unstore TERM:kuma-dp");
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_NONE);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none sweep exit:0");
	world_done(&w);
}

Test(stored, others_are_not)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	up(&w, &ends, &backend);
	cr_expect_not(w.stored);
	world_done(&w);
	/* The kernel does not know ownership. */
	init(&w, &endless, &backend);
	w.d.redirect.channel.owned = false;
	turn(&w);
	probed(&w, true, true);
	cr_expect_not(w.stored);
	world_done(&w);
	/* Nobody is there to store it. */
	init(&w, &endless, &backend);
	w.d.stores = false;
	turn(&w);
	probed(&w, true, true);
	cr_expect_not(w.stored);
	world_done(&w);
	/* Tables that nobody owns. */
	up(&w, &endless, &paper_backend);
	cr_expect_not(w.stored);
	world_done(&w);
}

Test(stored, a_reload_stores_and_takes_back)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	up(&w, &ends, &backend);
	w.book[0] = '\0';
	reload(&w, &endless);
	cr_expect(w.stored);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_FULL);
	reload(&w, &ends);
	cr_expect_not(w.stored);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_NONE);
	cr_expect_eq(w.kernel, LEVEL_FULL);
	world_done(&w);
}

Test(stored, what_cannot_be_written_down_is_not_stored)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	init(&w, &endless, &backend);
	w.d.redirect.record.path = "/proc/no/record";
	array_push(&w.d.redirect.record.arena, &w.d.redirect.record,
		   (struct record_item){ .kind = RECORD_NFT_TABLE, .table = TABLE_COUNT });
	turn(&w);
	probed(&w, true, true);
	cr_expect_not(w.stored);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_NONE);
	cr_expect(w.d.told_unstored);
	w.d.redirect.record.path = NULL;
	w.woken = true;
	turn(&w);
	cr_expect(w.stored);
	record_done(&w.d.redirect.record);
	world_done(&w);
}

Test(stored, a_stop_that_leads_to_a_start_leaves_all_in)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	up(&w, &endless, &backend);
	w.book[0] = '\0';
	w.starts_again = true;
	asked_to_stop(&w);
	did(&w, "TERM:kuma-dp");
	cr_expect_eq(phase_of(&w), PHASE_STOPPING);
	/* It goes down while it drains; the rules stay all the same. */
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "sweep exit:0");
	cr_expect_eq(w.kernel, LEVEL_FULL);
	cr_expect(w.stored);
	cr_expect(w.reserved);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_FULL);
	world_done(&w);
}

Test(stored, where_nothing_is_in_nothing_is_left)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	init(&w, &endless, &backend);
	w.starts_again = true;
	turn(&w);
	asked_to_stop(&w);
	child_exits(&w, CHILD_KUMA_DP, 0);
	did(&w, "apply:none start:kuma-dp TERM:kuma-dp sweep exit:0");
	world_done(&w);
}

/* A record and a descriptor of the one before. */
static void inherit(struct world *w, const struct world_setup *setup,
		    const struct netfilter_backend *backend)
{
	init(w, setup, backend);
	w->d.redirect.channel.fd = -EBADF;
	w->kernel = LEVEL_FULL;
	w->stored = w->reserved = true;
	w->d.redirect.record.stored = LEVEL_FULL;
	array_push(&w->d.redirect.record.arena, &w->d.redirect.record,
		   (struct record_item){ .kind = RECORD_NFT_TABLE, .table = TABLE_COUNT });
}

Test(stored, the_next_one_holds_until_its_proxy_serves)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	inherit(&w, &endless, &backend);
	daemon_take_stored(&w.d, A_FD);
	cr_expect_eq(w.d.redirect.channel.fd, A_FD);
	turn(&w);
	/* The rules of now, before a child runs. */
	did(&w, "apply:full take-over start:kuma-dp");
	cr_expect_eq(phase_of(&w), PHASE_HOLDING);
	cr_expect_not(w.d.carry.ready);
	advance(&w, 20 * SECOND);
	did(&w, "");
	probed(&w, true, true);
	did(&w, "");
	cr_expect_eq(phase_of(&w), PHASE_REDIRECTING);
	cr_expect(w.d.carry.ready);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_FULL);
	record_done(&w.d.redirect.record);
	world_done(&w);
}

Test(stored, a_start_that_fails_leaves_them_to_the_one_after_it)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	inherit(&w, &endless, &backend);
	daemon_take_stored(&w.d, A_FD);
	turn(&w);
	child_exits(&w, CHILD_KUMA_DP, 1);
	did(&w, "apply:full take-over start:kuma-dp sweep exit:1");
	cr_expect_eq(w.kernel, LEVEL_FULL);
	cr_expect(w.stored);
	record_done(&w.d.redirect.record);
	world_done(&w);
}

static int released;

static int release(const struct netfilter_wish *wish, struct record *record,
		   struct netfilter_report *report, struct error *err)
{
	(void)record;
	(void)report;
	(void)err;
	cr_expect_eq(wish->rules->level, LEVEL_NONE);
	cr_expect_geq(wish->channel->fd, 0);
	released++;
	return 0;
}

/* Where record, backend and configuration do not agree. */
static void refuses(struct world *w)
{
	const struct netfilter_backend releasing = { .name = "releasing",
						     .apply = release,
						     .owns = true };
	const struct netfilter_backend *const all[BACKEND_COUNT] = { [BACKEND_NFTABLES] =
									     &releasing };
	int before = released, fd = dup(STDERR_FILENO);

	w->d.redirect.all = all;
	w->d.stores = false;
	daemon_take_stored(&w->d, fd);
	w->d.redirect.all = NULL;
	cr_expect_eq(released, before + 1);
	cr_expect_lt(fcntl(fd, F_GETFD), 0);
	cr_expect_not(w->stored);
	cr_expect_eq(w->d.redirect.record.stored, LEVEL_NONE);
	turn(w);
	did(w, "unstore apply:none start:kuma-dp");
	record_done(&w->d.redirect.record);
	world_done(w);
}

Test(stored, what_does_not_agree_is_taken_out)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	inherit(&w, &ends, &backend);
	refuses(&w);
	inherit(&w, &endless, &paper_backend);
	refuses(&w);
	inherit(&w, &endless, &backend);
	w.d.redirect.record.stored = LEVEL_NONE;
	refuses(&w);
	inherit(&w, &endless, &backend);
	w.d.redirect.record.stored = LEVEL_DRAIN;
	refuses(&w);
	inherit(&w, &endless, &backend);
	w.d.redirect.record.n = 0;
	refuses(&w);
}

Test(stored, a_claim_without_a_descriptor_is_none)
{
	const struct netfilter_backend backend = owning();
	struct world w;

	inherit(&w, &endless, &backend);
	daemon_take_stored(&w.d, -1);
	cr_expect_eq(w.d.redirect.record.stored, LEVEL_NONE);
	turn(&w);
	did(&w, "apply:none start:kuma-dp");
	record_done(&w.d.redirect.record);
	world_done(&w);
}
