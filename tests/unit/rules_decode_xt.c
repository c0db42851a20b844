/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A rule has the same shape whether it is read from the kernel's bytes or from the text of
 * iptables-save: every rule of every example, in both families. */

#include "common/rules/decode_xt.h"

#include "common/rules/encode_xt.h"
#include "common/rules/shape_parse.h"
#include "common/rules/xt_entry.h"
#include "tests/unit/rules_plans.h"

#define WORDS_MAX 64

struct reader {
	const char *example;
	enum family family;
	unsigned seen, other, commented;
};

/* iptables-save prints some words otherwise than iptables-restore takes them. */
static void as_saved(const char **words, size_t n)
{
	static const char dports[] = "--dports";
	bool multiport = false;

	for (size_t i = 0; i < n; i++) {
		multiport = multiport || strcmp(words[i], "multiport") == 0;
		if (multiport && strcmp(words[i], "--dport") == 0)
			words[i] = dports;
		if (i > 0 && strcmp(words[i - 1], "--uid-owner") == 0 && strchr(words[i], ':'))
			*strchr((char *)words[i], ':') = '-';
	}
}

static struct shape from_text(const struct rule *rule, const struct rule_text *text)
{
	_strbuf_ struct strbuf out = { 0 };
	const char *words[WORDS_MAX];
	struct shape shape;
	size_t n;

	print_rule_arguments(&(struct rule_printer){ .out = &out }, rule, text);
	n = words_split(out.text, words, WORDS_MAX);
	cr_assert_leq(n, WORDS_MAX);
	as_saved(words, n);
	shape_parse(words, n, &shape);
	shape.src.net = ip_prefix_masked(&shape.src.net);
	shape.dst.net = ip_prefix_masked(&shape.dst.net);
	return shape;
}

static struct shape from_bytes(const struct reader *reader, const struct rule *rule,
			       const struct rule_text *text)
{
	struct xt_blob blob = { 0 };
	struct error err = { 0 };
	struct shape shape;

	cr_assert_eq(encode_xt(rule, text, reader->family, &blob, &err), 0, "%s", err.text);
	xt_entry_normalise(reader->family, blob.data, "");
	cr_expect_eq(xt_entry_size(reader->family, blob.data), blob.len);
	decode_xt(reader->family, blob.data, &shape);
	return shape;
}

static bool same_net(const struct match_net *a, const struct match_net *b)
{
	return a->op == b->op && a->net.len == b->net.len &&
	       memcmp(a->net.addr.bytes, b->net.addr.bytes, sizeof(a->net.addr.bytes)) == 0;
}

static bool same(const struct shape *a, const struct shape *b)
{
	return a->ours == b->ours && a->commented == b->commented && a->other == b->other &&
	       a->proto == b->proto && strcmp(a->iif, b->iif) == 0 && same_net(&a->src, &b->src) &&
	       same_net(&a->dst, &b->dst) && a->sport == b->sport && a->dport == b->dport &&
	       a->multiport == b->multiport && a->invalid == b->invalid && a->uid.op == b->uid.op &&
	       a->uid.lo == b->uid.lo && a->uid.hi == b->uid.hi && a->target == b->target &&
	       a->number == b->number && strcmp(a->prefix, b->prefix) == 0;
}

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct reader *reader = userdata;
	struct shape bytes = from_bytes(reader, rule, text), words = from_text(rule, text);

	cr_expect(same(&bytes, &words), "%s %s: %s", reader->example, family_name(reader->family),
		  text->comment);
	cr_expect_eq(bytes.commented, text->comment[0] != '\0');
	/* An interface to go out by and the flags of TCP stand in our own chains only. */
	cr_expect_eq(bytes.other, rule->oif || rule->syn);
	reader->seen++;
	reader->other += bytes.other;
	reader->commented += bytes.commented;
	return 0;
}

Test(decode_xt, a_rule_has_one_shape_in_bytes_and_in_text)
{
	struct reader all = { 0 };

	for (size_t i = 0; i < ELEMENTS(examples); i++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_example(&arena, &examples[i]);
		struct ruleset rules;

		ruleset_build(&arena, &plan, LEVEL_FULL, &rules);
		all.example = examples[i].name;
		for (enum family f = 0; f < FAMILY_COUNT; f++) {
			all.family = f;
			for (enum table t = 0; t < TABLE_COUNT; t++)
				for (size_t k = 0; k < rules.family[f].table[t].n; k++)
					cr_assert_eq(
						chain_visit(&rules.family[f].table[t].chains[k],
							    on_rule, &all),
						0);
		}
	}
	cr_expect_gt(all.seen, 400);
	cr_expect_gt(all.other, 20);
	cr_expect_gt(all.seen, all.commented);
}

/* What others may have written beside the shapes of kumactl. */
Test(decode_xt, what_no_rule_of_kumactl_has_makes_it_another)
{
	const struct rule rules[] = {
		{ .oif = "lo" },
		{ .proto = IPPROTO_TCP, .syn = OP_NOT },
		{ .proto = IPPROTO_TCP, .orig_dport = 1 },
		{ .local_dst = true },
	};
	const struct rule plain = { .proto = IPPROTO_TCP, .verdict = { .kind = VERDICT_RETURN } };
	const struct rule_text foreign = { .comment = "made by hand" }, none = { 0 };
	struct reader reader = { 0 };

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		reader.family = f;
		for (size_t i = 0; i < ELEMENTS(rules); i++)
			cr_expect(from_bytes(&reader, &rules[i], &none).other, "%zu", i);
		cr_expect_not(from_bytes(&reader, &plain, &none).other);
		cr_expect(from_bytes(&reader, &plain, &foreign).other);
	}
}
