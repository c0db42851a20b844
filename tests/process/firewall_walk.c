/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How packets are followed through a packet filter; rules are of paper. */

#include <criterion/criterion.h>

#include "common/base/attr.h"
#include "daemon/firewall/walk.h"
#include "tests/present.h"

#define MAX 8

struct paper {
	uint16_t lo, hi; /* 0: any */
	bool negated, asked, redirected_only, maybe;
	int verdict;
	const char *target;
};

static struct host_chain chains[3];
static struct host_rule rules[3][MAX];

static void judge(struct asking *a)
{
	const struct paper *paper = a->rule->raw;

	if (paper->lo)
		rule_asks(a, answer_unless(ask_port(a->packet,
						    paper->asked ? PORT_ASKED : PORT_REACHED,
						    paper->lo, paper->hi),
					   paper->negated));
	if (paper->redirected_only)
		rule_asks(a, answer_of(a->packet->redirected, false));
	if (paper->maybe)
		rule_asks(a, MAYBE);
	rule_says(a, paper->verdict, paper->target);
}

static void chain(size_t n, bool drops, const struct paper *papers, size_t n_papers)
{
	static const char *const names[] = { "A", "B", "C" };

	chains[n] = (struct host_chain){ .nfproto = NFPROTO_IPV4,
					 .table = "filter",
					 .name = names[n],
					 .hook = n == 0 ? "INPUT" : "",
					 .policy = drops ? NF_DROP : NF_ACCEPT,
					 .items = rules[n],
					 .n = n_papers };
	for (size_t i = 0; i < n_papers; i++)
		rules[n][i] = (struct host_rule){ .raw = &papers[i], .number = i + 1 };
}

#define CHAIN(n, drops, ...)                                      \
	static const struct paper papers_##n[] = { __VA_ARGS__ }; \
	chain(n, drops, papers_##n, ELEMENTS(papers_##n))

static const struct filter_chain *walk(struct arena *arena, struct facts_firewall *facts)
{
	const struct host_chains list = { .arena = arena,
					  .inbound_port = 15006,
					  .items = chains,
					  .n = ELEMENTS(chains),
					  .judge = judge };

	for (size_t i = 0; i < ELEMENTS(chains); i++) {
		if (!chains[i].name)
			chain(i, false, NULL, 0);
		chain_describe(arena, &chains[i], "legacy");
	}
	*facts = (struct facts_firewall){ 0 };
	chains_walk(&list, facts);
	cr_assert_not(arena->failed);
	cr_assert_eq(facts->n, 1);
	cr_assert_str_eq(facts->items[0].name, "chain A (iptables-legacy)");
	cr_assert_str_eq(facts->items[0].add, "iptables-legacy -I INPUT");
	cr_assert_eq(facts->items[0].family, FAMILY_V4);
	cr_assert_eq(facts->items[0].topic, FILTER_INBOUND);
	return &facts->items[0];
}

static void expect(const struct filter_chain *steps, size_t n, uint16_t to, enum filter_fate direct,
		   enum filter_fate redirected)
{
	cr_assert_lt(n, steps->n);
	cr_expect_eq(steps->items[n].to, to, "%zu: %u", n, steps->items[n].to);
	cr_expect_eq(steps->items[n].direct.fate, direct, "%zu", n);
	cr_expect_eq(steps->items[n].redirected.fate, redirected, "%zu", n);
}

Test(firewall_walk, of_a_chain_without_rules_is_one_step)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps = walk(&arena, &facts);

	cr_assert_eq(steps->n, 1);
	expect(steps, 0, UINT16_MAX, FILTER_ACCEPTS, FILTER_ACCEPTS);
	cr_expect_not(steps->items[0].named);
	cr_expect_null(steps->items[0].direct.end);
}

Test(firewall_walk, makes_a_step_of_ports_with_the_same_fate)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	CHAIN(0, true, { .lo = 22, .hi = 23, .verdict = NF_ACCEPT },
	      { .lo = 80, .hi = 80, .asked = true, .redirected_only = true, .verdict = NF_ACCEPT });
	steps = walk(&arena, &facts);
	cr_assert_eq(steps->n, 5);
	expect(steps, 0, 21, FILTER_DROPS, FILTER_DROPS);
	expect(steps, 1, 23, FILTER_ACCEPTS, FILTER_DROPS);
	cr_expect(steps->items[1].named);
	cr_expect_str_eq(steps->items[1].direct.rule, "rule 1 of chain A (iptables-legacy)");
	expect(steps, 2, 79, FILTER_DROPS, FILTER_DROPS);
	expect(steps, 3, 80, FILTER_DROPS, FILTER_ACCEPTS);
	expect(steps, 4, UINT16_MAX, FILTER_DROPS, FILTER_DROPS);
	cr_expect_not(steps->items[4].named);
}

Test(firewall_walk, judges_what_is_redirected_by_the_port_where_it_arrives)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	CHAIN(0, false, { .lo = 8080, .hi = 8080, .negated = true, .verdict = NF_DROP });
	steps = walk(&arena, &facts);
	cr_assert_eq(steps->n, 3);
	expect(steps, 0, 8079, FILTER_DROPS, FILTER_DROPS);
	expect(steps, 1, 8080, FILTER_ACCEPTS, FILTER_DROPS);
	cr_expect(steps->items[1].named);
	expect(steps, 2, UINT16_MAX, FILTER_DROPS, FILTER_DROPS);
}

Test(firewall_walk, follows_jumps_and_returns)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	CHAIN(0, true, { .verdict = NFT_JUMP, .target = "B" },
	      { .lo = 7, .hi = 7, .verdict = NFT_GOTO, .target = "C" },
	      { .verdict = NFT_JUMP, .target = "no such chain" },
	      { .lo = 7, .hi = 8, .verdict = NF_ACCEPT });
	CHAIN(1, false, { .lo = 9, .hi = 9, .verdict = NFT_JUMP, .target = "C" },
	      { .verdict = NFT_RETURN }, { .verdict = NF_ACCEPT });
	CHAIN(2, false, { .lo = 9, .hi = 9, .verdict = NF_ACCEPT });
	steps = walk(&arena, &facts);
	expect(steps, 0, 6, FILTER_DROPS, FILTER_DROPS);
	expect(steps, 1, 7, FILTER_DROPS, FILTER_DROPS);
	expect(steps, 2, 8, FILTER_ACCEPTS, FILTER_DROPS);
	expect(steps, 3, 9, FILTER_ACCEPTS, FILTER_DROPS);
	cr_expect_str_eq(steps->items[3].direct.rule, "rule 1 of chain C (iptables-legacy)");
	expect(steps, 4, UINT16_MAX, FILTER_DROPS, FILTER_DROPS);
}

Test(firewall_walk, does_not_count_on_rules_that_may_not_apply)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	CHAIN(0, true, { .lo = 1, .hi = 1, .maybe = true, .verdict = NFT_JUMP, .target = "B" },
	      { .lo = 2, .hi = 2, .maybe = true, .verdict = NFT_GOTO, .target = "B" },
	      { .lo = 3, .hi = 3, .maybe = true, .verdict = NFT_RETURN },
	      { .lo = 3, .hi = 4, .maybe = true, .verdict = NF_DROP },
	      { .lo = 2, .hi = 4, .verdict = NF_ACCEPT });
	CHAIN(1, false, { .verdict = NF_ACCEPT });
	steps = walk(&arena, &facts);
	expect(steps, 0, 1, FILTER_MAY_ACCEPT, FILTER_DROPS);
	cr_expect_str_eq(steps->items[0].direct.rule, "rule 1 of chain B (iptables-legacy)");
	cr_expect_null(steps->items[0].direct.end);
	expect(steps, 1, 2, FILTER_ACCEPTS, FILTER_DROPS);
	expect(steps, 2, 3, FILTER_MAY_DROP, FILTER_DROPS);
	cr_expect_str_eq(steps->items[2].direct.rule, "rule 4 of chain A (iptables-legacy)");
	cr_expect_str_eq(steps->items[2].direct.end, "rule 5 of chain A (iptables-legacy)");
	expect(steps, 3, 4, FILTER_MAY_DROP, FILTER_DROPS);
}

Test(firewall_walk, survives_chains_that_jump_to_each_other)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	CHAIN(0, true, { .verdict = NFT_JUMP, .target = "B" });
	CHAIN(1, false, { .verdict = NFT_JUMP, .target = "B" },
	      { .verdict = NFT_JUMP, .target = "B" });
	steps = walk(&arena, &facts);
	cr_expect_eq(steps->n, 1);
	expect(steps, 0, UINT16_MAX, FILTER_DROPS, FILTER_DROPS);
}

Test(firewall_walk, ends_where_there_are_too_many_ports)
{
	static struct paper papers[MAX];
	static struct host_rule many[3000];
	static struct paper all[ELEMENTS(many)];
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct facts_firewall facts;
	const struct filter_chain *steps;

	chain(0, true, papers, 0);
	for (uint16_t i = 0; i < ELEMENTS(many); i++) {
		all[i] = (struct paper){ .lo = (uint16_t)(2 * i + 1),
					 .hi = (uint16_t)(2 * i + 1),
					 .verdict = NF_ACCEPT };
		many[i] = (struct host_rule){ .raw = &all[i], .number = i };
	}
	chains[0].items = many;
	chains[0].n = ELEMENTS(many);
	steps = walk(&arena, &facts);
	cr_assert_gt(steps->n, 0);
	cr_expect_lt(steps->items[steps->n - 1].to, 6000);
}
