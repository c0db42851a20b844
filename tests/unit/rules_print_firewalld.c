/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rules as firewalld's direct configuration; tests/system sees what firewalld makes of it. */

#include "tests/unit/rules_plans.h"

#include "common/rules/print_firewalld.h"

static struct firewalld_entries entries_of(struct arena *arena, const struct plan *plan,
					   struct ruleset *ret)
{
	struct firewalld_entries entries;

	ruleset_build(arena, plan, LEVEL_FULL, ret);
	firewalld_entries(arena, ret, &entries);
	cr_assert_not(arena->failed);
	return entries;
}

Test(print_firewalld, makes_a_whole_document)
{
	static const char want[] =
		"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
		"<!-- made by tproxyd install -->\n"
		"<direct>\n"
		"  <chain ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_INBOUND\"/>\n"
		"  <chain ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND\"/>\n"
		"  <chain ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_INBOUND_REDIRECT\"/>\n"
		"  <chain ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND_REDIRECT\"/>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"PREROUTING\" priority=\"5678000\">"
		"-p tcp -j KUMA_MESH_INBOUND</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"OUTPUT\" priority=\"-5678000\">"
		"-d fd00::/8 -j RETURN</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"OUTPUT\" priority=\"5678000\">"
		"-p tcp -j KUMA_MESH_OUTBOUND</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_INBOUND\" priority=\"0\">"
		"-p tcp -j RETURN</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND\" priority=\"0\">"
		"-p tcp -j RETURN</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_INBOUND_REDIRECT\" "
		"priority=\"0\">-p tcp -j REDIRECT --to-ports 15006</rule>\n"
		"  <rule ipv=\"ipv6\" table=\"nat\" chain=\"KUMA_MESH_OUTBOUND_REDIRECT\" "
		"priority=\"0\">-p tcp -j REDIRECT --to-ports 15001</rule>\n"
		"</direct>\n";
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	struct firewalld_entries entries;
	_strbuf_ struct strbuf out = { 0 };
	struct ruleset rules;

	plan.comments = plan.inbound.enabled = plan.outbound.enabled = false;
	plan.verbose = true;
	plan.family[FAMILY_V4].enabled = false;
	plan.family[FAMILY_V6].exclude_outbound = NETS(&arena, "fd00::/8");
	entries = entries_of(&arena, &plan, &rules);
	print_firewalld(&entries, &out);
	cr_expect_str_eq(strbuf_text(&out), want);
}

Test(print_firewalld, escapes_what_is_markup)
{
	const struct firewalld_entry entry = { .chain = "<&>",
					       .args = "\"a\" & 'b' <c>",
					       .priority = -1 };
	_strbuf_ struct strbuf out = { 0 };

	print_firewalld_entry(&entry, &out);
	cr_expect_str_eq(strbuf_text(&out),
			 "<rule ipv=\"ipv4\" table=\"raw\" chain=\"&lt;&amp;&gt;\" "
			 "priority=\"-1\">&#34;a&#34; &amp; &#39;b&#39; &lt;c&gt;</rule>");
}

Test(print_firewalld, says_of_nothing_that_there_is_nothing)
{
	_strbuf_ struct strbuf out = { 0 };

	print_firewalld(&(struct firewalld_entries){ 0 }, &out);
	cr_expect_str_eq(strbuf_text(&out), "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
					    "<!-- made by tproxyd install -->\n"
					    "<direct>\n</direct>\n");
}

/* The rules of a chain as iptables would have them at last: inserts, then appends. */
struct expected {
	const struct ruleset *rules;
	enum position position;
	struct strbuf *out;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct expected *e = userdata;

	if (rule->position != e->position)
		return 0;
	print_rule_arguments(&(struct rule_printer){ .out = e->out }, rule, text);
	strbuf_addc(e->out, '\n');
	return 0;
}

static void expect_chain(const struct ruleset *rules, const struct firewalld_entries *entries,
			 enum family family, enum table table, const struct chain *chain)
{
	_strbuf_ struct strbuf want = { 0 }, got = { 0 };
	struct expected e = { rules, POSITION_INSERT, &want };
	int64_t last = INT64_MIN;

	chain_visit(chain, on_rule, &e);
	e.position = POSITION_APPEND;
	chain_visit(chain, on_rule, &e);
	for (size_t i = 0; i < entries->n; i++) {
		const struct firewalld_entry *entry = &entries->items[i];

		if (entry->family != family || entry->table != table || !entry->args ||
		    strcmp(entry->chain, chain->name) != 0)
			continue;
		cr_assert_gt(entry->priority, last, "%s", entry->args);
		last = entry->priority;
		cr_assert_eq(firewalld_priority_is_ours(last), chain->builtin, "%s", entry->args);
		strbuf_addf(&got, " %s\n", entry->args);
	}
	cr_expect_str_eq(strbuf_text(&got), strbuf_text(&want));
}

Test(print_firewalld, keeps_the_final_order_of_every_chain_of_every_example)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		struct firewalld_entries entries;
		size_t n = 0, rules_begin = 0;
		struct ruleset rules;

		plan.verbose = false;
		entries = entries_of(&arena, &plan, &rules);
		for (enum family f = 0; f < FAMILY_COUNT; f++) {
			for (enum table t = 0; t < TABLE_COUNT; t++) {
				const struct table_rules *table = &rules.family[f].table[t];

				for (size_t c = 0; c < table->n; c++) {
					expect_chain(&rules, &entries, f, t, &table->chains[c]);
					n += !table->chains[c].builtin;
				}
			}
		}
		while (rules_begin < entries.n && !entries.items[rules_begin].args)
			rules_begin++;
		cr_expect_eq(rules_begin, n, "%s: all chains come first", examples[i].name);
	}
}

Test(print_firewalld, knows_its_own_priorities)
{
	static const int64_t ours[] = { -5678000, -4678001, 5678000, 6677999 };
	static const int64_t others[] = { -5678001, -4678000, 0, 3, 5677999, 6678000 };

	for (size_t i = 0; i < ELEMENTS(ours); i++)
		cr_expect(firewalld_priority_is_ours(ours[i]));
	for (size_t i = 0; i < ELEMENTS(others); i++)
		cr_expect_not(firewalld_priority_is_ours(others[i]));
}

Test(print_firewalld, tells_of_an_arena_that_has_failed)
{
	_arena_ struct arena arena = { 0 };
	struct arena failed = { .failed = true };
	struct plan plan = plan_default();
	struct firewalld_entries entries;
	struct ruleset rules;

	(void)entries_of(&arena, &plan, &rules);
	firewalld_entries(&failed, &rules, &entries);
	cr_expect(failed.failed);
	cr_expect_eq(entries.n, 0);
}
