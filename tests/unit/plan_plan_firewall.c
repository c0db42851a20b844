/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What `check` says of the host's own packet filter; how it is read is a test of tests/netns, and how
 * packets are followed through it one of tests/process. */

#include "tests/unit/plan_fixture.h"

TestSuite(plan_firewall, .init = fixture_init, .fini = fixture_done);

#define MAX 40

static struct filter_chain chains[2 * FAMILY_COUNT];
static struct filter_step steps[2 * FAMILY_COUNT][MAX];

/* The n-th chain, in both families. */
static void chain(size_t n, enum filter_fate direct, enum filter_fate redirected)
{
	static const char *const names[] = { "chain A", "chain B" };

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		size_t at = n * FAMILY_COUNT + f;

		steps[at][0] = (struct filter_step){ .to = UINT16_MAX,
						     .direct.fate = direct,
						     .redirected.fate = redirected };
		chains[at] = (struct filter_chain){ .topic = FILTER_INBOUND,
						    .family = f,
						    .name = names[n],
						    .add = "iptables -I A",
						    .items = steps[at],
						    .n = 1 };
	}
	if (fx.facts.firewall.n <= n * FAMILY_COUNT)
		fx.facts.firewall = (struct facts_firewall){ chains, (n + 1) * FAMILY_COUNT };
}

/* A rule makes the difference for some ports, above all that are there already. */
static void rule(size_t n, uint16_t lo, uint16_t hi, const char *name, enum filter_fate direct)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct filter_chain *list = &chains[n * FAMILY_COUNT + f];
		struct filter_step rest = list->items[list->n - 1], named = rest;

		cr_assert_lt(list->n + 1, MAX);
		list->items[list->n - 1].to = (uint16_t)(lo - 1);
		named.to = hi;
		named.named = true;
		named.direct = (struct filter_outcome){ direct, name, name };
		list->items[list->n++] = named;
		list->items[list->n++] = rest;
	}
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

Test(plan_firewall, says_nothing_where_all_may_pass)
{
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, warns_where_a_policy_drops_what_is_redirected_and_gives_the_rule)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	rule(0, 22, 22, "rule 1", FILTER_ACCEPTS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "chain A drops inbound mesh traffic: redirected connections arrive at port "
		    "15006, which no rule opens; port 8080 needs a rule as: iptables -I A -p tcp "
		    "--dport 15006 -m conntrack --ctstate DNAT --ctorigdstport 8080 -j ACCEPT");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, tells_the_rule_that_drops_it_and_writes_the_other_as_nft_takes_it)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		chains[f].nft = true;
		chains[f].add = "nft insert rule inet filter input";
		steps[f][0].redirected.end = "rule 1 of chain A";
	}
	judge("");
	expect_said(
		SEVERITY_WARNING, NULL,
		"port 15006, which rule 1 of chain A keeps out; port 8080 needs a rule as: nft insert "
		"rule inet filter input tcp dport 15006 ct status dnat ct original proto-dst "
		"8080 accept");
}

Test(plan_firewall, names_a_rule_that_opens_a_port_by_number)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	rule(0, 9090, 9090, "rule 2", FILTER_ACCEPTS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "rule 2 lets in port 9090 by number, but redirected connections "
		    "arrive at port 15006 and are dropped; \"ct status dnat\" with the port that "
		    "was asked for keeps its effect: iptables -I A -p tcp --dport 15006 -m "
		    "conntrack --ctstate DNAT --ctorigdstport 9090 -j ACCEPT");
	cr_expect_eq(warnings(), 2, "%s", all_said());
}

Test(plan_firewall, names_a_rule_that_blocks_ports_by_number_once)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	rule(0, 80, 80, "rule 1", FILTER_DROPS);
	rule(0, 9000, 9100, "rule 1", FILTER_DROPS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "rule 1 keeps out ports 80, 9000-9100 by number, but redirected connections "
		    "arrive at port 15006 and get through; \"ct status dnat\" with the "
		    "port that was asked for keeps its effect: iptables -I A -p tcp --dport 15006 "
		    "-m conntrack --ctstate DNAT --ctorigdstport 80 -j DROP (and so for the "
		    "others)");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, gives_the_rule_for_the_port_of_the_dataplane)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	rule(0, 8000, 8100, "rule 1", FILTER_DROPS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 keeps out ports 8000-8100 by number");
	expect_said(SEVERITY_WARNING, NULL, "--ctorigdstport 8080 -j DROP");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, names_a_rule_for_all_ports_but_some)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	rule(0, 8080, 8080, NULL, FILTER_ACCEPTS);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		steps[f][1].redirected.rule = "rule 1";
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 lets in port 8080 by number");
}

Test(plan_firewall, leaves_ports_alone_that_are_not_redirected)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	rule(0, 22, 22, "rule 1", FILTER_DROPS);
	rule(0, 9000, 9000, "rule 2", FILTER_DROPS);
	rule(0, 15006, 15006, "rule 3", FILTER_DROPS);
	judge("redirect: {inbound: {excludePorts: 9000}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	judge("redirect: {inbound: {includePorts: 80}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	judge("redirect: {inbound: {enabled: false}}\n");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, looks_for_a_redirected_port_within_a_range)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	rule(0, 22, 23, "rule 1", FILTER_DROPS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 keeps out port 23 by number");
}

Test(plan_firewall, warns_where_closed_ports_open)
{
	chain(0, FILTER_DROPS, FILTER_ACCEPTS);
	rule(0, 8080, 8080, "rule 2", FILTER_ACCEPTS);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		steps[f][0].redirected.end = "rule 1 of chain A";
	judge("");
	expect_said(SEVERITY_WARNING, NULL,
		    "chain A keeps out ports that it does not name, but lets in what is redirected "
		    "(rule 1 of chain A): every TCP port on which an application listens can be "
		    "reached through the proxy");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, gives_the_benefit_of_the_doubt_to_rules_that_ask_for_more)
{
	chain(0, FILTER_MAY_ACCEPT, FILTER_MAY_ACCEPT);
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
	chain(0, FILTER_DROPS, FILTER_DROPS);
	rule(0, 9090, 9090, "rule 1", FILTER_MAY_ACCEPT);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 lets in port 9090 by number");
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	rule(0, 9090, 9090, "rule 1", FILTER_MAY_DROP);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "rule 1 keeps out port 9090 by number");
	chain(0, FILTER_DROPS, FILTER_MAY_ACCEPT);
	rule(0, 9090, 9090, "rule 1", FILTER_DROPS);
	judge("");
	cr_expect_eq(warnings(), 0, "%s", all_said());
}

Test(plan_firewall, does_not_claim_that_a_port_opens_which_another_chain_keeps_closed)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	chain(1, FILTER_DROPS, FILTER_DROPS);
	rule(0, 9090, 9090, "rule 1", FILTER_DROPS);
	judge("");
	expect_silent(SEVERITY_WARNING, "keeps out port 9090");
	expect_said(SEVERITY_WARNING, NULL, "chain B drops inbound mesh traffic");
	chain(1, FILTER_DROPS, FILTER_ACCEPTS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "keeps out port 9090");
}

Test(plan_firewall, judges_only_families_that_are_redirected_and_both_at_once)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	chain(1, FILTER_DROPS, FILTER_DROPS);
	chains[1] = chains[FAMILY_COUNT + FAMILY_V6];
	fx.facts.firewall.n = 2; /* A for IPv4, B for IPv6 */
	judge("");
	cr_expect_eq(warnings(), 2, "%s", all_said());
	judge("ipFamilyMode: ipv4\n");
	cr_expect_eq(warnings(), 1, "%s", all_said());
	chain(0, FILTER_DROPS, FILTER_DROPS);
	judge("");
	cr_expect_eq(warnings(), 1, "%s", all_said());
}

Test(plan_firewall, names_eight_rules_and_counts_the_rest)
{
	static const char *const names[] = { "1", "2", "3", "4", "5", "6", "7", "8", "9", "10" };

	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	for (uint16_t i = 0; i < ELEMENTS(names); i++)
		rule(0, 1000 + i, 1000 + i, names[i], FILTER_DROPS);
	judge("");
	cr_expect_eq(warnings(), 9, "%s", all_said());
	expect_said(SEVERITY_WARNING, NULL, "2 more rules of chain A are in the same case");
}

Test(plan_firewall, names_sixteen_ports_of_a_rule)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	for (uint16_t port = 1000; port < 1036; port += 2)
		rule(0, port, port, "rule 1", FILTER_DROPS);
	judge("");
	expect_said(SEVERITY_WARNING, NULL, "1028, 1030 and others by number");
}

Test(plan_firewall, says_where_it_gives_up)
{
	chain(0, FILTER_ACCEPTS, FILTER_ACCEPTS);
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		steps[f][0].to = 7000;
	judge("");
	expect_said(SEVERITY_NOTICE, NULL,
		    "chain A: its rules name too many ports to examine those above 7000");
}

Test(plan_firewall, is_silent_about_an_install)
{
	chain(0, FILTER_DROPS, FILTER_DROPS);
	build_install("");
	cr_expect_eq(fx.diags.n, 0, "%s", all_said());
}
