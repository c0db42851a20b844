/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A ruleset as a value: its shape, walking it, comparing two. */

#include "tests/unit/rules_plans.h"

static struct ruleset ruleset_of(struct arena *arena, const struct plan *plan, enum level level)
{
	struct ruleset rules;

	ruleset_build(arena, plan, level, &rules);
	cr_assert(!arena->failed);
	return rules;
}

Test(ruleset, names_its_tables)
{
	cr_expect_str_eq(table_name(TABLE_RAW), "raw");
	cr_expect_str_eq(table_name(TABLE_NAT), "nat");
	cr_expect_str_eq(table_name(TABLE_MANGLE), "mangle");
}

Test(ruleset, has_tables_chains_and_rules_only_where_there_is_something)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		for (enum level level = LEVEL_NONE; level <= LEVEL_FULL; level++) {
			_arena_ struct arena arena = { 0 };
			struct plan plan = plan_example(&arena, &examples[i]);
			struct ruleset rules = ruleset_of(&arena, &plan, level);

			for (enum family f = 0; f < FAMILY_COUNT; f++) {
				cr_expect_eq(rules.family[f].enabled, plan.family[f].enabled);
				for (enum table t = 0; t < TABLE_COUNT; t++) {
					struct table_rules *table = &rules.family[f].table[t];
					size_t n = 0;

					for (size_t c = 0; c < table->n; c++) {
						n += table->chains[c].n;
						cr_expect(!table->chains[c].builtin ||
							  table->chains[c].n > 0);
					}
					cr_expect_eq(n > 0, table->n > 0);
				}
			}
		}
	}
}

Test(ruleset, keeps_lists_as_one_rule_each)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	struct ruleset rules;
	struct chain *chain;

	plan.inbound.exclude_ports = PORTS(&arena, 1, 2, 3, 4, 5, 6, 7, 8, 9);
	rules = ruleset_of(&arena, &plan, LEVEL_FULL);
	chain = &rules.family[FAMILY_V4].table[TABLE_NAT].chains[2];
	cr_assert_str_eq(chain->name, "KUMA_MESH_INBOUND");
	cr_expect_eq(chain->n, 2);
	cr_expect_eq(rule_count(&chain->rules[0]), 9);
}

Test(ruleset, wants_the_ipv6_loopback_address_at_every_level_but_none_and_never_without_ipv6)
{
	for (enum level level = LEVEL_NONE; level <= LEVEL_FULL; level++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_default();

		cr_expect_eq(ruleset_of(&arena, &plan, level).loopback_v6, level != LEVEL_NONE);
		plan.family[FAMILY_V6].enabled = false;
		cr_expect_not(ruleset_of(&arena, &plan, level).loopback_v6);
	}
}

Test(ruleset, is_empty_and_not_a_crash_when_memory_runs_out)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		struct arena failed = { .failed = true };
		struct ruleset rules;

		ruleset_build(&failed, &plan, LEVEL_FULL, &rules);
		cr_expect_eq(rules.family[FAMILY_V4].table[TABLE_NAT].n, 0);
		arena_done(&failed);
	}
}

/* A walk writes down what it sees. */
static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct strbuf *seen = userdata;

	strbuf_addf(seen, "%s ", text->comment + strlen(COMMENT_PREFIX));
	return rule->verdict.kind == VERDICT_DROP ? 7 : 0;
}

Test(chain_visit, takes_rules_in_a_row_over_one_list_as_one_loop)
{
	static const uint16_t ports[] = { 1, 2 }, others[] = { 1, 2 };
	struct each each = { EACH_DPORT, { ports }, 2 }, other = { EACH_DPORT, { others }, 2 };
	struct rule rules[] = {
		{ .comment = "a%s", .each = each },
		{ .comment = "b%s", .each = each },
		{ .comment = "c%s", .each = other },
		{ .comment = "d" },
		{ .comment = "e%s", .each = each },
		{ .comment = "f%s", .each = each },
		{ .comment = "g" },
	};
	struct chain chain = { .rules = rules, .n = ELEMENTS(rules) };
	_strbuf_ struct strbuf seen = { 0 };

	cr_expect_eq(chain_visit(&chain, on_rule, &seen), 0);
	cr_expect_str_eq(strbuf_text(&seen), "a1 b1 a2 b2 c1 c2 d e1 f1 e2 f2 g ");
}

Test(chain_visit, ends_with_the_value_of_a_visit_that_is_not_zero)
{
	struct rule rules[] = {
		{ .comment = "a" },
		{ .comment = "b", .verdict = { .kind = VERDICT_DROP } },
		{ .comment = "c" },
	};
	struct chain chain = { .rules = rules, .n = ELEMENTS(rules) };
	_strbuf_ struct strbuf seen = { 0 };

	cr_expect_eq(chain_visit(&chain, on_rule, &seen), 7);
	cr_expect_str_eq(strbuf_text(&seen), "a b ");
}

Test(ruleset_equal, holds_between_two_builds_of_one_plan_and_between_no_two_examples)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		for (size_t k = 0; k < ELEMENTS(examples); k++) {
			_arena_ struct arena arena = { 0 };
			struct plan one = plan_example(&arena, &examples[i]);
			struct plan two = plan_example(&arena, &examples[k]);
			struct ruleset a = ruleset_of(&arena, &one, LEVEL_FULL);
			struct ruleset b = ruleset_of(&arena, &two, LEVEL_FULL);

			cr_expect_eq(ruleset_equal(&a, &b), i == k, "%s %s", examples[i].name,
				     examples[k].name);
		}
	}
}

/* Every setting that rules depend on, changed alone. */
#define CHANGE(NAME, ...)                                                                   \
	static void change_##NAME(_unused_ struct arena *arena, _unused_ struct plan *plan) \
	{                                                                                   \
		__VA_ARGS__;                                                                \
	}
CHANGE(user, plan->user.uid = 1)
CHANGE(loopback, plan->loopback = "lo0")
CHANGE(family, plan->family[FAMILY_V6].enabled = false)
CHANGE(dns_server, plan->family[FAMILY_V4].dns_servers = SERVERS(arena, "10.0.0.3"))
CHANGE(more_servers, plan->family[FAMILY_V4].dns_servers = SERVERS(arena, "10.0.0.2", "10.0.0.2"))
CHANGE(dns, plan->family[FAMILY_V6].dns = false)
CHANGE(zones, plan->family[FAMILY_V6].dns_zones = false)
CHANGE(docker, plan->family[FAMILY_V4].docker_output = true)
CHANGE(invalid, plan->family[FAMILY_V4].drop_invalid = false)
CHANGE(vnet_name, plan->family[FAMILY_V4].vnets.items[0].iface = "br0")
CHANGE(vnet_net, plan->family[FAMILY_V4].vnets.items[0].net = net_of("172.19.0.0/16"))
CHANGE(vnets, plan->family[FAMILY_V6].vnets.n = 0)
CHANGE(from, plan->family[FAMILY_V4].exclude_inbound.items[1] = net_of("172.33.0.0/16"))
CHANGE(from_len, plan->family[FAMILY_V4].exclude_inbound.items[1] = net_of("172.32.0.0/17"))
CHANGE(to, plan->family[FAMILY_V6].exclude_outbound.items[0] = net_of("fe80::2"))
CHANGE(fewer_to, plan->family[FAMILY_V6].exclude_outbound.n--)
CHANGE(inbound, plan->inbound.enabled = false)
CHANGE(outbound, plan->outbound.enabled = false)
CHANGE(inbound_port, plan->inbound.port++)
CHANGE(outbound_port, plan->outbound.port++)
CHANGE(include_in, plan->inbound.include_ports = PORTS(arena, 80))
CHANGE(include_out, plan->outbound.include_ports = PORTS(arena, 80))
CHANGE(exclude_in, plan->inbound.exclude_ports.items[0] = 4445)
CHANGE(exclude_out, plan->outbound.exclude_ports.n--)
CHANGE(insert_in, plan->family[FAMILY_V6].vnets.n = 0; plan->inbound.insert = true)
CHANGE(insert_out, plan->outbound.insert = true)
CHANGE(chain_in, plan->inbound.chain = "KUMA_MESH_X")
CHANGE(chain_out, plan->outbound.chain = "KUMA_MESH_X")
CHANGE(redirect_in, plan->inbound.redirect_chain = "KUMA_MESH_X")
CHANGE(redirect_out, plan->outbound.redirect_chain = "KUMA_MESH_X")
CHANGE(uid_proto, plan->exclude_uids.items[0].proto = IPPROTO_UDP)
CHANGE(uid_more, exclude_uids(arena, plan, IPPROTO_TCP, "1", "1"))
CHANGE(uids, plan->exclude_uids.items[0].uids_text = "106:109")
CHANGE(uid_ports, plan->exclude_uids.items[0].ports_text = "53")
CHANGE(capture, plan->dns_capture_all = true)
CHANGE(dns_port, plan->dns_port++)
CHANGE(log, plan->log_enabled = false)
CHANGE(log_level, plan->log_level--)
CHANGE(comments, plan->comments = !plan->comments)
CHANGE(keep, plan->keep_connections = false)
CHANGE(ssh, plan->ssh_ports.n--)

/* A plan in which every setting matters. */
static struct plan plan_of_everything(struct arena *arena, bool comments)
{
	struct plan plan = plan_default();

	plan.comments = comments;
	fill_safe(arena, &plan);
	fill_e01(arena, &plan);
	plan.dns_capture_all = false;
	plan.log_enabled = true;
	plan.family[FAMILY_V4].drop_invalid = true;
	return plan;
}

/* Whether the change goes unnoticed; comments can give away what the matches should. */
static bool still_equal(void (*change)(struct arena *arena, struct plan *plan), bool comments)
{
	_arena_ struct arena arena = { 0 };
	struct plan one = plan_of_everything(&arena, comments);
	struct plan two = plan_of_everything(&arena, comments);
	struct ruleset a, b;

	change(&arena, &two);
	a = ruleset_of(&arena, &one, LEVEL_FULL);
	b = ruleset_of(&arena, &two, LEVEL_FULL);
	cr_expect_eq(ruleset_equal(&a, &b), ruleset_equal(&b, &a));
	return ruleset_equal(&a, &b);
}

Test(ruleset_equal, notices_every_single_setting)
{
#define DIFFERS(NAME)                \
	{                            \
#NAME, change_##NAME \
	}
	static const struct example changes[] = {
		DIFFERS(user),         DIFFERS(loopback),      DIFFERS(family),
		DIFFERS(dns_server),   DIFFERS(more_servers),  DIFFERS(dns),
		DIFFERS(zones),        DIFFERS(docker),        DIFFERS(invalid),
		DIFFERS(vnet_name),    DIFFERS(vnet_net),      DIFFERS(vnets),
		DIFFERS(from),         DIFFERS(from_len),      DIFFERS(to),
		DIFFERS(fewer_to),     DIFFERS(inbound),       DIFFERS(outbound),
		DIFFERS(inbound_port), DIFFERS(outbound_port), DIFFERS(include_in),
		DIFFERS(include_out),  DIFFERS(exclude_in),    DIFFERS(exclude_out),
		DIFFERS(insert_in),    DIFFERS(insert_out),    DIFFERS(chain_in),
		DIFFERS(chain_out),    DIFFERS(redirect_in),   DIFFERS(redirect_out),
		DIFFERS(uid_proto),    DIFFERS(uids),          DIFFERS(uid_ports),
		DIFFERS(uid_more),     DIFFERS(capture),       DIFFERS(dns_port),
		DIFFERS(log),          DIFFERS(log_level),     DIFFERS(comments),
		DIFFERS(keep),         DIFFERS(ssh),
	};

	for (size_t i = 0; i < ELEMENTS(changes); i++) {
		cr_expect_not(still_equal(changes[i].fill, true), "%s", changes[i].name);
		cr_expect_not(still_equal(changes[i].fill, false), "%s, without comments",
			      changes[i].name);
	}
}

Test(ruleset_equal, compares_what_is_there_and_not_the_name_of_the_level)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	struct ruleset full = ruleset_of(&arena, &plan, LEVEL_FULL);
	struct ruleset no_dns = ruleset_of(&arena, &plan, LEVEL_NO_DNS);
	struct ruleset drain = ruleset_of(&arena, &plan, LEVEL_DRAIN);
	struct ruleset none = ruleset_of(&arena, &plan, LEVEL_NONE);

	cr_expect(ruleset_equal(&full, &no_dns));
	cr_expect_not(ruleset_equal(&no_dns, &drain));
	cr_expect_not(ruleset_equal(&drain, &none));
}

Test(ruleset_equal, knows_where_the_ipv6_address_is_even_where_no_rule_names_the_interface)
{
	_arena_ struct arena arena = { 0 };
	struct plan one = plan_default(), two = plan_default();
	struct ruleset a, b;

	two.loopback = "lo0";
	a = ruleset_of(&arena, &one, LEVEL_DRAIN);
	b = ruleset_of(&arena, &two, LEVEL_DRAIN);
	cr_expect_not(ruleset_equal(&a, &b));
	one.family[FAMILY_V6].enabled = two.family[FAMILY_V6].enabled = false;
	a = ruleset_of(&arena, &one, LEVEL_DRAIN);
	b = ruleset_of(&arena, &two, LEVEL_DRAIN);
	cr_expect(ruleset_equal(&a, &b));
}
