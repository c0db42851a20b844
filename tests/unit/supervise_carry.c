/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/carry.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <string.h>

/* Every bit of every fact is different from its neighbour's, as far as the facts allow. */
static struct carry example(void)
{
	struct carry carry = {
		.situation = {
			.wish = WISH_STOP,
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

	carry_print(carry, &out);
	cr_assert_not(out.failed);
	return strbuf_take(&out);
}

Test(carry, reads_what_it_prints)
{
	struct carry carry = example(), back = { 0 };
	struct error err = { 0 };
	char *text = print(&carry), *again;

	cr_assert_eq(carry_parse(text, &back, &err), 0, "%s", err.text);
	again = print(&back);
	cr_expect_str_eq(text, again);
	cr_expect_eq(back.situation.applied, LEVEL_NO_DNS);
	cr_expect_eq(back.situation.hold_until_usec, USEC_NEVER);
	cr_expect_eq(back.situation.confirm_until_usec, 60000000);
	cr_expect_eq(back.child[CHILD_KUMA_DP].pid, 4711);
	cr_expect_eq(back.child[CHILD_CORE_DNS].start_ticks, UINT64_MAX);
	cr_expect_eq(back.child[CHILD_KUMA_DP].digest[1], UINT64_MAX);
	free(text);
	free(again);
}

/* A field that nobody prints would be lost: a byte that is changed must show in the text. */
Test(carry, prints_every_field)
{
	static const size_t fields[] = {
		offsetof(struct carry, situation.wish),
		offsetof(struct carry, situation.proxy_alive),
		offsetof(struct carry, situation.proxy_serving),
		offsetof(struct carry, situation.dns_redirected),
		offsetof(struct carry, situation.dns_serving),
		offsetof(struct carry, situation.served),
		offsetof(struct carry, situation.applied),
		offsetof(struct carry, situation.applied_generation),
		offsetof(struct carry, situation.generation),
		offsetof(struct carry, situation.hold_until_usec),
		offsetof(struct carry, situation.lost_usec),
		offsetof(struct carry, situation.proxy_by_usec),
		offsetof(struct carry, situation.core_dns_by_usec),
		offsetof(struct carry, situation.own_core_dns),
		offsetof(struct carry, situation.kuma_dp_silent),
		offsetof(struct carry, situation.dns_failures),
		offsetof(struct carry, said),
		offsetof(struct carry, ready),
		offsetof(struct carry, started_usec),
		offsetof(struct carry, child[0].pid),
		offsetof(struct carry, child[0].start_ticks),
		offsetof(struct carry, child[0].started_usec),
		offsetof(struct carry, child[0].starts),
		offsetof(struct carry, child[0].digest[1]),
		offsetof(struct carry, child[1].pid),
		offsetof(struct carry, child[1].digest[0]),
	};
	struct carry carry = example();
	char *before = print(&carry);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct carry changed = carry;
		char *after;

		((unsigned char *)&changed)[fields[i]] ^= 1;
		after = print(&changed);
		cr_expect_str_neq(before, after, "field %zu", i);
		free(after);
	}
	free(before);
}

static void refuses(const char *text, const char *because)
{
	struct carry carry = { .ready = true };
	struct error err = { 0 };

	cr_expect_lt(carry_parse(text, &carry, &err), 0, "%s", text);
	cr_expect(strstr(err.text, because), "%s", err.text);
	cr_expect(carry.ready, "the result was touched");
}

Test(carry, refuses_what_is_missing_unknown_repeated_or_impossible)
{
	refuses("", "the state lacks wish");
	refuses("wish 0\n", "the state lacks proxy-alive");
	refuses("wish 0\nwish 0\n", "line 2 of the state: \"wish 0\" is there twice");
	refuses("wish 2\n", "line 1 of the state: wish cannot be \"2\"");
	refuses("wish -1\n", "wish cannot be \"-1\"");
	refuses("wish\n", "line 1");
	refuses("wish 0", "line 1");
	refuses("wishes 0\n", "\"wishes 0\" is not known here");
	refuses("applied-level 5\n", "applied-level cannot be \"5\"");
	refuses("kuma-dp.pid 2147483648\n", "kuma-dp.pid cannot be");
	refuses("coredns.digest-1 ab\n", "coredns.digest-1 cannot be");
	refuses("started-usec 18446744073709551616\n", "started-usec cannot be");
	refuses("started-usec 1844674407370955161618446744073709551616000\n",
		"started-usec cannot be");
}

/* Whatever is cut off or changed in passing: an answer, never half a state. */
Test(carry, survives_every_cut)
{
	struct carry carry = example();
	char *text = print(&carry);

	for (size_t len = strlen(text); len-- > 0;) {
		struct carry back = { 0 };
		struct error err = { 0 };

		text[len] = '\0';
		cr_expect_lt(carry_parse(text, &back, &err), 0, "cut at %zu", len);
		cr_expect_neq(err.text[0], '\0');
	}
	free(text);
}
