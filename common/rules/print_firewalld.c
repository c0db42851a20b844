/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/print_firewalld.h"

#include <string.h>

#include "common/base/array.h"
#include "common/rules/print_restore.h"

bool firewalld_priority_is_ours(int64_t priority)
{
	return (priority >= FIREWALLD_INSERTED && priority < FIREWALLD_INSERTED + FIREWALLD_BAND) ||
	       (priority >= FIREWALLD_APPENDED && priority < FIREWALLD_APPENDED + FIREWALLD_BAND);
}

/* One chain on its way into the list. */
struct collector {
	struct arena *arena;
	const struct ruleset *rules;
	struct firewalld_entry entry;
	int32_t priority[2]; /* of the next rule, by its position */
	struct firewalld_entries *out;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct collector *c = userdata;
	_strbuf_ struct strbuf args = { 0 };

	/* Verbose is about what is shown. */
	print_rule_arguments(&(struct rule_printer){ .out = &args }, rule, text);
	if (args.failed)
		c->arena->failed = true;
	c->entry.args =
		arena_strdup(c->arena, strbuf_text(&args) + strspn(strbuf_text(&args), " "));
	c->entry.priority = c->priority[rule->position]++;
	array_push(c->arena, c->out, c->entry);
	return 0;
}

static void collect_rules(struct collector *c, const struct chain *chain)
{
	/* Nobody else's rules are in a chain of ours. */
	c->priority[POSITION_INSERT] = chain->builtin ? FIREWALLD_INSERTED : 0;
	c->priority[POSITION_APPEND] = chain->builtin ? FIREWALLD_APPENDED : 0;
	(void)chain_visit_placed(chain, on_rule, c);
}

/* Once over everything: the chains, or what is in them. */
static void collect(struct collector *c, bool chains)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		for (enum table table = 0; table < TABLE_COUNT; table++) {
			const struct table_rules *t = &c->rules->family[family].table[table];

			for (size_t i = 0; i < t->n; i++) {
				c->entry = (struct firewalld_entry){
					.family = family,
					.table = table,
					.chain = t->chains[i].name,
				};
				if (!chains)
					collect_rules(c, &t->chains[i]);
				else if (!t->chains[i].builtin)
					array_push(c->arena, c->out, c->entry);
			}
		}
	}
}

void firewalld_entries(struct arena *arena, const struct ruleset *rules,
		       struct firewalld_entries *ret)
{
	struct collector c = { .arena = arena, .rules = rules, .out = ret };

	*ret = (struct firewalld_entries){ 0 };
	collect(&c, true);
	collect(&c, false);
}

void print_firewalld_entry(const struct firewalld_entry *entry, struct strbuf *out)
{
	strbuf_addf(out, "<%s ipv=\"ipv%d\" table=\"%s\" chain=\"", entry->args ? "rule" : "chain",
		    entry->family == FAMILY_V4 ? 4 : 6, table_name(entry->table));
	strbuf_add_escaped(out, entry->chain);
	if (!entry->args) {
		strbuf_add(out, "\"/>");
		return;
	}
	strbuf_addf(out, "\" priority=\"%d\">", entry->priority);
	strbuf_add_escaped(out, entry->args);
	strbuf_add(out, "</rule>");
}

void print_firewalld(const struct firewalld_entries *entries, struct strbuf *out)
{
	strbuf_add(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
			"<!-- made by tproxyd install -->\n<direct>\n");
	for (size_t i = 0; i < entries->n; i++) {
		strbuf_add(out, "  ");
		print_firewalld_entry(&entries->items[i], out);
		strbuf_addc(out, '\n');
	}
	strbuf_add(out, "</direct>\n");
}
