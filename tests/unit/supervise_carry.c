/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/carry.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

#define GAPS 34 /* bytes without a field */

/* Every bit of every fact is different from its neighbour's, as far as the facts allow. */
static struct carry example(void)
{
	struct carry carry = {
		.situation = {
			.wish = WISH_STOP,
			.kept = true,
			.proxy_alive = true,
			.dns_redirected = true,
			.served = true,
			.applied = LEVEL_NO_DNS,
			.applied_generation = 3,
			.least = LEVEL_DRAIN,
			.generation = 4,
			.hold_until_usec = USEC_NEVER,
			.lost_usec = 170000000,
			.proxy_by_usec = 180000000,
			.core_dns_by_usec = USEC_NEVER,
			.own_core_dns = true,
			.kuma_dp_silent = true,
			.dns_failures = 2,
			.confirm_until_usec = 60000000,
		},
		.said = PHASE_DRAINING,
		.ready = true,
		.started_usec = 1234567,
		.child = {
			{ .pid = 4711, .start_ticks = 99, .started_usec = 5, .starts = 1,
			  .digest = { 1, UINT64_MAX } },
			{ .pid = INT_MAX, .start_ticks = UINT64_MAX, .starts = UINT_MAX,
			  .digest = { 0xab } },
		},
	};

	return carry;
}

static char *print(const struct carry *carry)
{
	struct strbuf out = { 0 };

	handover_begin(&out);
	carry_print(carry, &out);
	handover_end(&out);
	cr_assert_not(out.failed);
	return strbuf_take(&out);
}

static int take(const char *text, struct carry *ret, struct error *err)
{
	struct handover handover = { 0 };
	int r = handover_parse(text, strlen(text), &handover, err);

	if (r == 0)
		r = carry_take(&handover, ret, err);
	if (r == 0)
		r = handover_all_taken(&handover, err);
	handover_done(&handover);
	return r;
}

Test(carry, reads_what_it_prints)
{
	struct carry carry = example(), back = { 0 };
	struct error err = { 0 };
	_free_ char *text = print(&carry), *again = NULL;

	cr_assert_eq(take(text, &back, &err), 0, "%s", err.text);
	again = print(&back);
	cr_expect_str_eq(text, again);
	cr_expect_eq(back.situation.applied, LEVEL_NO_DNS);
	cr_expect_eq(back.situation.hold_until_usec, USEC_NEVER);
	cr_expect_eq(back.situation.confirm_until_usec, 60000000);
	cr_expect_eq(back.child[CHILD_KUMA_DP].pid, 4711);
	cr_expect_eq(back.child[CHILD_CORE_DNS].start_ticks, UINT64_MAX);
	cr_expect_eq(back.child[CHILD_KUMA_DP].digest[1], UINT64_MAX);
}

/* A field that nobody prints would be lost: each byte that is changed shows in the text, but for the
 * time of the last step and for the gaps between fields. Who adds a field sees it here. */
Test(carry, prints_every_field)
{
	const struct carry carry = example();
	_free_ char *before = print(&carry);
	size_t silent = 0;

	for (size_t at = 0; at < sizeof(carry); at++) {
		struct carry changed = carry;
		_free_ char *after = NULL;

		((unsigned char *)&changed)[at] ^= 1;
		after = print(&changed);
		silent += strcmp(before, after) == 0;
	}
	cr_expect_eq(silent, sizeof(carry.situation.now_usec) + GAPS, "%zu", silent);
}

Test(carry, refuses_what_is_missing_or_impossible)
{
	struct carry carry = { .ready = true };
	struct error err = { 0 };

	cr_expect_lt(take("tproxyd-state 1\nend\n", &carry, &err), 0);
	cr_expect_str_eq(err.text, "the state lacks wish");
	cr_expect_lt(take("tproxyd-state 1\nwish 0\nend\n", &carry, &err), 0);
	cr_expect_str_eq(err.text, "the state lacks proxy-alive");
	cr_expect_lt(take("tproxyd-state 1\nwish 2\nend\n", &carry, &err), 0);
	cr_expect_str_eq(err.text, "line 2 of the state: wish cannot be \"2\"");
	cr_expect(carry.ready, "the result was touched");
}
