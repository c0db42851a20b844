/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/leftovers.h"

#include <string.h>

#include "common/base/strbuf.h"
#include "common/rules/ruleset.h"
#include "common/rules/shape_parse.h"

#define WORDS_MAX 64

struct saved_chain {
	const char *name;
	bool builtin, ours;
	bool referenced; /* by a rule that stays */
	struct shape_list rules;
	struct string_list lines; /* of the rules: what is behind "-A CHAIN " */
	bool *own, *doubt;        /* of a built-in chain: which rules are ours, which may be */
};

struct saved_table {
	struct saved_chain *items;
	size_t n;
};

struct finder {
	struct arena *arena;
	struct saved_table tables[TABLE_COUNT];
	struct traces traces;
	struct leftovers *found;
};

static struct saved_chain *find_chain(struct saved_table *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++)
		if (strcmp(table->items[i].name, name) == 0)
			return &table->items[i];
	return NULL;
}

/* ":NAME POLICY [0:0]", "-" for the policy of a chain that users made. */
static void on_chain(struct finder *f, struct saved_table *table, char *line)
{
	const char *words[3];
	struct saved_chain chain = { 0 };

	if (words_split(line + 1, words, ELEMENTS(words)) < 2)
		return;
	chain.name = words[0];
	chain.builtin = strcmp(words[1], "-") != 0;
	chain.ours = !chain.builtin && mesh_chain(chain.name);
	array_push(f->arena, table, chain);
}

/* "-A NAME ...". */
static void on_rule(struct finder *f, struct saved_table *table, char *line)
{
	size_t len = strcspn(line + 3, " ");
	const char *name = arena_strndup(f->arena, line + 3, len);
	struct saved_chain *chain = name ? find_chain(table, name) : NULL;
	const char *words[WORDS_MAX];
	char *rest = line + 3 + len + (line[3 + len] == ' ');
	const char *kept = arena_strdup(f->arena, rest);
	struct shape shape = { .other = true, .name = "" };
	size_t n;

	if (!chain || !kept)
		return;
	n = words_split(rest, words, WORDS_MAX);
	if (n <= WORDS_MAX)
		shape_parse(words, n, &shape);
	array_push(f->arena, &chain->rules, shape);
	array_push(f->arena, &chain->lines, kept);
}

static struct saved_table *find_table(struct finder *f, const char *name)
{
	for (enum table t = 0; t < TABLE_COUNT; t++)
		if (strcmp(name, table_name(t)) == 0)
			return &f->tables[t];
	return NULL;
}

static void read_save(struct finder *f, const char *save)
{
	struct saved_table *table = NULL;

	while (*save) {
		size_t len = strcspn(save, "\n");
		char *line = arena_strndup(f->arena, save, len);

		if (!line)
			return;
		if (line[0] == '*')
			table = find_table(f, line + 1);
		else if (table && line[0] == ':')
			on_chain(f, table, line);
		else if (table && strncmp(line, "-A ", 3) == 0)
			on_rule(f, table, line);
		save += len + (save[len] == '\n');
	}
}

static const struct shape_list *rules_of(struct finder *f, enum table table, const char *chain)
{
	static const struct shape_list none;
	const struct saved_chain *found = find_chain(&f->tables[table], chain);

	return found ? &found->rules : &none;
}

static void learn(struct finder *f)
{
	const struct saved_table *nat = &f->tables[TABLE_NAT];

	for (size_t i = 0; i < nat->n; i++)
		if (nat->items[i].ours)
			traces_learn_chain(&f->traces, &nat->items[i].rules);
	traces_learn_builtin(&f->traces, f->arena, rules_of(f, TABLE_RAW, "OUTPUT"),
			     rules_of(f, TABLE_NAT, "PREROUTING"),
			     rules_of(f, TABLE_NAT, "OUTPUT"));
}

const char *leftovers_rules(struct arena *arena, const char *chain, const bool *own, size_t n)
{
	_strbuf_ struct strbuf text = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		size_t first = i;

		if (!own[i])
			continue;
		while (i + 1 < n && own[i + 1])
			i++;
		count += i + 1 - first;
		strbuf_addf(&text, "%s%zu", text.len ? ", " : "", first + 1);
		if (i > first)
			strbuf_addf(&text, "%s%zu", i == first + 1 ? ", " : "-", i + 1);
	}
	if (text.failed)
		arena->failed = true;
	return count ? arena_printf(arena, "rule%s %s of %s", count == 1 ? "" : "s",
				    strbuf_text(&text), chain)
		     : NULL;
}

/* -D takes the first of equal rules. Where the first is not ours the number has to say which. */
static bool foreign_equal_before(const struct saved_chain *chain, size_t rule)
{
	for (size_t i = 0; i < rule; i++)
		if (!chain->own[i] && strcmp(chain->lines.items[i], chain->lines.items[rule]) == 0)
			return true;
	return false;
}

static void delete_rules(const struct saved_chain *chain, struct strbuf *out)
{
	size_t deleted = 0;

	for (size_t i = 0; i < chain->rules.n; i++) {
		if (!chain->own[i])
			continue;
		if (foreign_equal_before(chain, i))
			strbuf_addf(out, "-D %s %zu\n", chain->name, i + 1 - deleted);
		else
			strbuf_addf(out, "-D %s %s\n", chain->name, chain->lines.items[i]);
		deleted++;
	}
}

/* Marks what is ours in the built-in chains, and which of our chains others jump to. */
static void mark(struct finder *f, enum table t)
{
	struct saved_table *table = &f->tables[t];

	for (size_t i = 0; i < table->n; i++) {
		struct saved_chain *chain = &table->items[i];

		if (chain->ours)
			continue;
		chain->own = arena_alloc(f->arena, chain->rules.n + 1);
		chain->doubt = arena_alloc(f->arena, chain->rules.n + 1);
		if (!chain->own || !chain->doubt)
			return;
		if (chain->builtin)
			recognise(&f->traces, &(struct recognised){ t, chain->name, &chain->rules,
								    chain->own, chain->doubt });
		for (size_t n = 0; n < chain->rules.n; n++) {
			const char *target = chain->rules.items[n].name;
			struct saved_chain *to = find_chain(table, target);

			if (chain->own[n] || !to || !to->ours)
				continue;
			to->referenced = true;
			array_push(
				f->arena, &f->found->left,
				arena_printf(f->arena,
					     "%s: rule %zu of %s jumps to %s, which stays, empty",
					     table_name(t), n + 1, chain->name, target));
		}
	}
}

/* Names the rules that may or may not be kumactl's. */
static void tell_doubts(struct finder *f, enum table t)
{
	for (size_t i = 0; i < f->tables[t].n; i++) {
		const struct saved_chain *chain = &f->tables[t].items[i];
		const char *numbers = chain->ours ? NULL
						  : leftovers_rules(f->arena, chain->name,
								    chain->doubt, chain->rules.n);

		if (numbers)
			array_push(f->arena, &f->found->left,
				   arena_printf(f->arena, LEFTOVERS_DOUBT, table_name(t), numbers));
	}
}

static void print_table(struct finder *f, enum table t, struct strbuf *out)
{
	const struct saved_table *table = &f->tables[t];
	_strbuf_ struct strbuf rules = { 0 }, flush = { 0 }, drop = { 0 };

	for (size_t i = 0; i < table->n; i++) {
		const struct saved_chain *chain = &table->items[i];
		const char *numbers;

		/* Left for others by an earlier time. */
		if (chain->ours && chain->referenced && chain->rules.n == 0)
			continue;
		if (chain->ours) {
			strbuf_addf(&flush, "-F %s\n", chain->name);
			if (!chain->referenced)
				strbuf_addf(&drop, "-X %s\n", chain->name);
			array_push(f->arena, &f->found->removed,
				   arena_printf(f->arena, "%s: chain %s (%zu rule%s)",
						table_name(t), chain->name, chain->rules.n,
						chain->rules.n == 1 ? "" : "s"));
			continue;
		}
		numbers = leftovers_rules(f->arena, chain->name, chain->own, chain->rules.n);
		if (!numbers)
			continue;
		delete_rules(chain, &rules);
		array_push(f->arena, &f->found->removed,
			   arena_printf(f->arena, "%s: %s", table_name(t), numbers));
	}
	if (rules.len || flush.len)
		strbuf_addf(out, "*%s\n%s%s%sCOMMIT\n", table_name(t), strbuf_text(&rules),
			    strbuf_text(&flush), strbuf_text(&drop));
	if (rules.failed || flush.failed || drop.failed)
		out->failed = true;
}

void leftovers_find(struct arena *arena, const char *save, struct leftovers *ret)
{
	/* The redirects of nat go before the zones of raw that they count on. */
	static const enum table order[] = { TABLE_NAT, TABLE_RAW, TABLE_MANGLE, TABLE_FILTER };
	struct finder f = { .arena = arena, .found = ret };
	_strbuf_ struct strbuf out = { 0 };

	*ret = (struct leftovers){ 0 };
	read_save(&f, save);
	if (arena->failed)
		return;
	learn(&f);
	for (size_t i = 0; i < ELEMENTS(order); i++) {
		mark(&f, order[i]);
		if (arena->failed)
			return;
		tell_doubts(&f, order[i]);
		print_table(&f, order[i], &out);
	}
	if (out.len)
		ret->text = arena_strdup(arena, out.text);
	if (out.failed)
		arena->failed = true;
}
