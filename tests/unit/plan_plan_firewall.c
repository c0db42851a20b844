/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What `check` says of the host's own packet filter; how it is read is a test of tests/netns. */

#include "common/plan/filter.h"
#include "tests/unit/plan_fixture.h"

TestSuite(plan_firewall, .init = fixture_init, .fini = fixture_done);

#define MAX 8

static struct filter_chain chains[4];
static struct filter_rule rules[4][MAX];
static struct filter_range ranges[4 * MAX];
static size_t n_ranges;

static struct filter_ports ports(uint16_t lo, uint16_t hi)
{
	ranges[n_ranges] = (struct filter_range){ lo, hi };
	return (struct filter_ports){ &ranges[n_ranges++], 1, false };
}

static struct filter_ports port(uint16_t number)
{
	return ports(number, number);
}

/* The n-th chain, with the rules that are appended later. */
static struct filter_chain *chain(size_t n, bool base, bool drops)
{
	static const char *const names[] = { "chain A", "chain B", "chain C", "chain D" };

	chains[n] = (struct filter_chain){
		.name = names[n],
		.add = "iptables -I A",
		.base = base,
		.drops = drops,
		.family = { true, true },
		.items = rules[n],
	};
	if (fx.facts.firewall.n <= n)
		fx.facts.firewall = (struct facts_firewall){ chains, n + 1 };
	return &chains[n];
}

static void add(struct filter_chain *to, struct filter_rule rule)
{
	static const char *const names[] = { "rule 1", "rule 2", "rule 3", "rule 4",
					     "rule 5", "rule 6", "rule 7", "rule 8" };

	cr_assert_lt(to->n, MAX);
	rule.name = arena_printf(&fx.arena, "%s of %s", names[to->n], to->name);
	to->items[to->n++] = rule;
}

/* Builds a plan; what was said of an earlier one is forgotten. */
static void judge(const char *yaml)
{
	fx.diags.n = 0;
	build_run(yaml);
}

/* Warnings about the host that are about no setting. */
static size_t warnings(void)
{
	size_t n = 0;

	for (size_t i = 0; i < fx.diags.n; i++)
		n += fx.diags.items[i].severity == SEVERITY_WARNING && fx.diags.items[i].host &&
		     !fx.diags.items[i].setting;
	return n;
}

Test(plan_firewall, says_nothing_of_a_host_without_one)
{
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	chain(0, true, false);
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, warns_where_a_policy_drops_what_is_redirected_and_gives_the_rule)
{
	struct filter_chain *a = chain(0, true, true);

	add(a, (struct filter_rule){ .port = port(22), .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "chain A drops inbound mesh traffic: redirected connections arrive at port "
		    "15006, which no rule opens; port 8080 needs a rule as: iptables -I A -p tcp "
		    "--dport 15006 -m conntrack --ctstate DNAT --ctorigdstport 8080 -j ACCEPT");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, writes_the_rule_as_nft_takes_it)
{
	struct filter_chain *a = chain(0, true, true);

	a->nft = true;
	a->add = "nft insert rule inet filter input";
	add(a, (struct filter_rule){ .verdict = FILTER_DROP });
	judge("");
	expect_said(
		SEVERITY_WARNING, NULL,
		"port 15006, which rule 1 of chain A keeps out; port 8080 needs a rule as: nft insert "
		"rule inet filter input tcp dport 15006 ct status dnat ct original proto-dst "
		"8080 accept");
}

Test(plan_firewall, names_a_rule_that_opens_a_port_by_number)
{
	struct filter_chain *a = chain(0, true, true);

	add(a, (struct filter_rule){ .never = true, .verdict = FILTER_ACCEPT });
	add(a, (struct filter_rule){ .port = port(9090), .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "rule 2 of chain A lets in port 9090 by number, but redirected connections "
		    "arrive at port 15006 and are dropped; \"ct status dnat\" with the port that "
		    "was asked for keeps its effect: iptables -I A -p tcp --dport 15006 -m "
		    "conntrack --ctstate DNAT --ctorigdstport 9090 -j ACCEPT");
	cr_expect_eq(warnings(), 2, "%s", all_said());
}

Test(plan_firewall, names_a_rule_that_blocks_a_port_by_number)
{
	struct filter_chain *a = chain(0, true, false);

	add(a, (struct filter_rule){ .port = ports(9000, 9100), .verdict = FILTER_DROP });
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "rule 1 of chain A keeps out port 9000 and others by number, but redirected "
		    "connections arrive at port 15006 and get through; \"ct status dnat\" with the "
		    "port that was asked for keeps its effect: iptables -I A -p tcp --dport 15006 "
		    "-m conntrack --ctstate DNAT --ctorigdstport 9000 -j DROP (and so for the "
		    "others)");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, names_the_port_of_the_dataplane_first)
{
	struct filter_chain *a = chain(0, true, false);

	add(a, (struct filter_rule){ .port = ports(8000, 8100), .verdict = FILTER_DROP });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 of chain A keeps out port 8080 and others by");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, does_not_examine_ports_in_a_chain_without_rules)
{
	static struct filter_range many[600];
	struct filter_chain *a = chain(0, true, false);

	(void)chain(1, true, false);
	for (uint16_t i = 0; i < ELEMENTS(many); i++)
		many[i] = (struct filter_range){ (uint16_t)(20000 + i), (uint16_t)(20000 + i) };
	add(a, (struct filter_rule){ .port = { .items = many, .n = ELEMENTS(many) },
				     .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_NOTICE, NULL, "A: its rules name too many ports to examine");
	cr_expect_null(strstr(all_said(), "B: its rules"), "%s", all_said());
}

Test(plan_firewall, leaves_ports_alone_that_are_not_redirected)
{
	struct filter_chain *a = chain(0, true, false);

	add(a, (struct filter_rule){ .port = port(22), .verdict = FILTER_DROP });
	add(a, (struct filter_rule){ .port = port(9000), .verdict = FILTER_DROP });
	add(a, (struct filter_rule){ .port = port(15006), .verdict = FILTER_ACCEPT });
	judge("redirect: {inbound: {excludePorts: 9000}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	judge("redirect: {inbound: {includePorts: 80}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	judge("redirect: {inbound: {enabled: false}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, looks_for_a_redirected_port_within_a_range)
{
	struct filter_chain *a = chain(0, true, false);

	add(a, (struct filter_rule){ .port = ports(22, 23), .verdict = FILTER_DROP });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 of chain A keeps out port 23 by number");
}

Test(plan_firewall, warns_where_closed_ports_open)
{
	struct filter_chain *a = chain(0, true, true);

	add(a, (struct filter_rule){ .redirected_only = true, .verdict = FILTER_ACCEPT });
	add(a, (struct filter_rule){ .port = port(8080), .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "chain A keeps out ports that it does not name, but lets in what is redirected "
		    "(rule 1 of chain A): every TCP port on which an application listens can be "
		    "reached through the proxy");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, is_content_with_rules_by_the_port_that_was_asked_for)
{
	struct filter_chain *a = chain(0, true, true);

	add(a, (struct filter_rule){ .port = port(15006),
				     .original = port(8080),
				     .redirected_only = true,
				     .verdict = FILTER_ACCEPT });
	add(a, (struct filter_rule){ .port = port(8080), .verdict = FILTER_ACCEPT });
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, follows_jumps_and_returns)
{
	struct filter_chain *a = chain(0, true, true), *b = chain(1, false, false),
			    *c = chain(2, false, false);

	add(a, (struct filter_rule){ .verdict = FILTER_JUMP, .target = 1 });
	add(a, (struct filter_rule){ .verdict = FILTER_GOTO, .target = 2 });
	add(a, (struct filter_rule){ .verdict = FILTER_ACCEPT });
	add(b, (struct filter_rule){ .port = port(9090), .verdict = FILTER_JUMP, .target = 2 });
	add(b, (struct filter_rule){ .verdict = FILTER_RETURN });
	add(b, (struct filter_rule){ .verdict = FILTER_ACCEPT });
	add(c, (struct filter_rule){ .port = port(9090), .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "chain A drops inbound mesh traffic");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 of chain C lets in port 9090 by number");
	cr_expect_eq(warnings(), 2, "%s", all_said());
}

Test(plan_firewall, survives_chains_that_jump_to_each_other)
{
	struct filter_chain *a = chain(0, true, true), *b = chain(1, false, false);

	for (size_t i = 0; i < MAX; i++) {
		add(a, (struct filter_rule){ .verdict = FILTER_JUMP, .target = i ? 1 : 99 });
		add(b, (struct filter_rule){ .verdict = FILTER_JUMP, .target = 1 });
	}
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "chain A drops inbound mesh traffic");
}

Test(plan_firewall, gives_the_benefit_of_the_doubt_to_rules_that_ask_for_more)
{
	struct filter_chain *a = chain(0, true, true);

	add(a, (struct filter_rule){ .partly = true, .verdict = FILTER_ACCEPT });
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	a->n = 0;
	add(a,
	    (struct filter_rule){ .partly = true, .port = port(9090), .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 of chain A lets in port 9090 by number");
	a->n = 0;
	a->drops = false;
	add(a, (struct filter_rule){ .partly = true, .port = port(9090), .verdict = FILTER_DROP });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 of chain A keeps out port 9090 by number");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, does_not_claim_that_a_port_opens_which_another_chain_keeps_closed)
{
	struct filter_chain *a = chain(0, true, false), *b = chain(1, true, true);

	add(a, (struct filter_rule){ .port = port(9090), .verdict = FILTER_DROP });
	judge("");
	expect_silent(SEVERITY_WARNING, "keeps out port 9090");
	expect_said(SEVERITY_WARNING, NULL, "chain B drops inbound mesh traffic");
	add(b, (struct filter_rule){ .redirected_only = true, .verdict = FILTER_ACCEPT });
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "keeps out port 9090");
}

Test(plan_firewall, judges_only_families_that_are_redirected_and_both_at_once)
{
	struct filter_chain *a = chain(0, true, true), *b = chain(1, true, true);

	a->family[FAMILY_V6] = false;
	b->family[FAMILY_V4] = false;
	judge("");
	cr_expect_eq(warnings(), 2, "%s", all_said());
	judge("ipFamilyMode: ipv4\n");
	cr_expect_eq(warnings(), 1, "%s", all_said());
	a->family[FAMILY_V6] = true;
	b->base = false;
	judge("");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, names_eight_rules_and_counts_the_rest)
{
	struct filter_chain *a = chain(0, true, false), *b = chain(1, false, false);

	for (uint16_t i = 0; i < MAX - 1; i++) {
		add(a, (struct filter_rule){ .port = port(1000 + i), .verdict = FILTER_DROP });
		add(b, (struct filter_rule){ .port = port(2000 + i), .verdict = FILTER_DROP });
	}
	add(a, (struct filter_rule){ .verdict = FILTER_JUMP, .target = 1 });
	judge("");
	cr_expect_eq(warnings(), 9, "%s", all_said());
	expect_said(SEVERITY_WARNING, NULL,
		    "6 more ports of rules of chain A are in the same case");
}

Test(plan_firewall, says_where_it_gives_up)
{
	static struct filter_range many[600];
	struct filter_chain *a = chain(0, true, false);

	for (uint16_t i = 0; i < ELEMENTS(many); i++)
		many[i] = (struct filter_range){ 1000 + i, 1000 + i };
	add(a, (struct filter_rule){ .port = { many, 512, false }, .verdict = FILTER_DROP });
	judge("");
	expect_silent(SEVERITY_NOTICE, "too many ports");
	a->items[0].port.n = ELEMENTS(many);
	judge("");
	expect_said(SEVERITY_NOTICE, NULL,
		    "chain A: its rules name too many ports to examine more than the first 512");
}

Test(plan_firewall, is_silent_about_an_install)
{
	chain(0, true, true);
	build_install("");
	cr_expect_eq(fx.diags.n, 0, "%s", all_said());
}

TestSuite(filter, .init = fixture_init, .fini = fixture_done);

Test(filter, tells_the_rule_that_decides)
{
	struct filter_chain *a = chain(0, true, true);
	struct filter_packet packet = { .port = 5, .original = 5 };
	struct filter_outcome o;

	add(a, (struct filter_rule){
		       .port = port(5), .not_for = { true, false }, .verdict = FILTER_DROP });
	add(a, (struct filter_rule){ .redirected_never = true, .verdict = FILTER_ACCEPT });
	o = filter_walk(&fx.facts.firewall, a, &packet);
	cr_expect_not(o.drops);
	cr_expect_eq(o.end, &a->items[1]);
	cr_expect_null(o.by);
	packet.redirected = true;
	o = filter_walk(&fx.facts.firewall, a, &packet);
	cr_expect(o.drops);
	cr_expect_null(o.end);
	packet.family = FAMILY_V6;
	o = filter_walk(&fx.facts.firewall, a, &packet);
	cr_expect_eq(o.end, &a->items[0]);
	cr_expect_eq(o.by, &a->items[0]);
	a->items[0].port.negated = true;
	o = filter_walk(&fx.facts.firewall, a, &packet);
	cr_expect_null(o.end);
}
