/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Every worked example of the reference, plan to text, and what holds for all of them. */

#include "tests/unit/rules_plans.h"

/* Line by line, so that a failure shows the rule. */
static void expect_same_lines(const char *name, char *got, char *want)
{
	for (unsigned line = 1; got || want; line++) {
		char *got_line = got ? strsep(&got, "\n") : NULL;
		char *want_line = want ? strsep(&want, "\n") : NULL;

		cr_assert_str_eq(got_line ? got_line : "(end)", want_line ? want_line : "(end)",
				 "%s:%u:\n%s\n%s", name, line, got_line, want_line);
	}
}

Test(examples, every_example_prints_as_the_reference_does)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		_free_ char *got = dry_run_of(&plan, LEVEL_FULL);
		_free_ char *path = NULL, *want = NULL;

		if (examples[i].name[0] != 'e')
			continue;
		cr_assert_geq(asprintf(&path, "golden/%s/expected", examples[i].name), 0);
		want = file_text(path);
		expect_same_lines(path, got, want);
	}
}

/* All rules of a level as "IPv4 nat -A CHAIN …", inserts without their number. */
struct lines {
	char **items;
	size_t n;
};

struct collector {
	const struct ruleset *rules;
	const struct chain *chain;
	const char *where;
	struct lines *lines;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct collector *c = userdata;
	struct strbuf out = { 0 };

	strbuf_addf(&out, "%s ", c->where);
	print_rule(&(struct rule_printer){ &out, c->rules->verbose, c->chain->name, 0 }, rule,
		   text);
	c->lines->items = realloc(c->lines->items, (c->lines->n + 1) * sizeof(char *));
	cr_assert_not_null(c->lines->items);
	c->lines->items[c->lines->n++] = strbuf_take(&out);
	return 0;
}

static struct lines lines_of(const struct plan *plan, enum level level)
{
	struct arena arena = { 0 };
	struct lines lines = { 0 };
	struct ruleset rules;
	char where[32];

	ruleset_build(&arena, plan, level, &rules);
	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		for (enum table t = 0; t < TABLE_COUNT; t++) {
			const struct table_rules *table = &rules.family[f].table[t];

			(void)snprintf(where, sizeof(where), "%s %s", family_name(f),
				       table_name(t));
			for (size_t i = 0; i < table->n; i++) {
				struct collector c = { &rules, &table->chains[i], where, &lines };

				cr_assert_eq(chain_visit(c.chain, on_rule, &c), 0);
			}
		}
	}
	arena_done(&arena);
	return lines;
}

static void lines_done(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->items[i]);
	free(lines->items);
}
#define _lines_ _cleanup_(lines_done)

/* Calls expect_missing for every line of more that is not in less; less has to be what is left, in
 * the same order. */
static void expect_part_of(const struct lines *less, const struct lines *more,
			   void (*expect_missing)(const char *line))
{
	size_t k = 0;

	for (size_t i = 0; i < more->n; i++) {
		if (k < less->n && strcmp(more->items[i], less->items[k]) == 0)
			k++;
		else
			expect_missing(more->items[i]);
	}
	cr_expect_eq(k, less->n, "not in the higher level: %s", k < less->n ? less->items[k] : "");
}

static bool is_about_dns(const char *line)
{
	return strstr(line, "DNS") && (strstr(line, " --dport 53 ") || strstr(line, " -j CT "));
}

static void expect_dns(const char *line)
{
	cr_expect(strstr(line, " --dport 53 ") || strstr(line, " -j CT ") ||
			  strstr(line, " --destination-port 53 ") || strstr(line, " --jump CT "),
		  "%s", line);
	cr_expect_null(strstr(line, "multiport"), "%s", line);
}

static void expect_no_own_redirect(const char *line)
{
	cr_expect(!strstr(line, "KUMA_MESH_INBOUND_REDIRECT -") &&
			  !strstr(line, "KUMA_MESH_OUTBOUND_REDIRECT -"),
		  "%s", line);
}

Test(levels, no_dns_is_full_without_exactly_the_dns_rules)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		_lines_ struct lines full = lines_of(&plan, LEVEL_FULL);
		_lines_ struct lines no_dns = lines_of(&plan, LEVEL_NO_DNS);

		expect_part_of(&no_dns, &full, expect_dns);
		for (size_t k = 0; k < no_dns.n; k++)
			cr_expect(!is_about_dns(no_dns.items[k]), "%s: %s", examples[i].name,
				  no_dns.items[k]);
	}
}

Test(levels, drain_is_the_two_redirects_of_each_family_and_nothing_else)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		_lines_ struct lines no_dns = lines_of(&plan, LEVEL_NO_DNS);
		_lines_ struct lines drain = lines_of(&plan, LEVEL_DRAIN);
		size_t families = plan.family[FAMILY_V6].enabled ? 2 : 1;

		expect_part_of(&drain, &no_dns, expect_no_own_redirect);
		cr_expect_eq(drain.n, 2 * families, "%s", examples[i].name);
		for (size_t k = 0; k < drain.n; k++) {
			cr_expect_not_null(strstr(drain.items[k], " nat "));
			cr_expect_not_null(strstr(drain.items[k], " REDIRECT --to-ports "));
		}
	}
}

Test(levels, none_is_nothing)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		_lines_ struct lines none = lines_of(&plan, LEVEL_NONE);
		_free_ char *text = dry_run_of(&plan, LEVEL_NONE);

		cr_expect_eq(none.n, 0);
		cr_expect_str_empty(text);
	}
}

Test(comments, none_exceeds_what_the_kernel_keeps_and_all_carry_the_prefix)
{
	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		_lines_ struct lines lines = lines_of(&plan, LEVEL_FULL);

		for (size_t k = 0; k < lines.n; k++) {
			const char *comment = strstr(lines.items[k], "\"" COMMENT_PREFIX);
			const char *end = comment ? strrchr(lines.items[k], '"') : NULL;

			cr_expect_eq(comment != NULL, plan.comments, "%s", lines.items[k]);
			if (comment)
				cr_expect_leq(end - comment - 1, 254, "%s", lines.items[k]);
		}
	}
}
