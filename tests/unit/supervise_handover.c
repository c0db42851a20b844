/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/handover.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"

struct thing {
	bool flag;
	unsigned count;
	uint64_t usec;
	char why[8];
	uint64_t later;
};

#define FACT(name_, field, max_)                                          \
	{                                                                 \
		.name = (name_), .offset = offsetof(struct thing, field), \
		.size = sizeof(((struct thing *)0)->field), .max = (max_) \
	}

static const struct handover_fact facts[] = {
	FACT("flag", flag, 1),
	FACT("count", count, 7),
	FACT("usec", usec, UINT64_MAX),
	{ .name = "why", .offset = offsetof(struct thing, why), .size = 8, .text = true },
	{ .name = "later",
	  .offset = offsetof(struct thing, later),
	  .size = sizeof(uint64_t),
	  .max = 9,
	  .optional = true },
};
static const struct handover_table table = { facts, ELEMENTS(facts) };

static char *print(const struct thing *thing)
{
	struct strbuf out = { 0 };

	handover_begin(&out);
	handover_add_facts(&out, "a.", &table, thing);
	handover_end(&out);
	cr_assert_not(out.failed);
	return strbuf_take(&out);
}

static int take(const char *text, struct thing *ret, struct error *err)
{
	struct handover handover = { 0 };
	int r = handover_parse(text, strlen(text), &handover, err);

	if (r == 0)
		r = handover_take_facts(&handover, "a.", &table, ret, err);
	if (r == 0)
		r = handover_all_taken(&handover, err);
	handover_done(&handover);
	return r;
}

Test(handover, reads_what_it_prints)
{
	const struct thing thing = { true, 7, UINT64_MAX, "\"\\\n\x01\x7fö", 3 };
	struct thing back = { 0 };
	struct error err = { 0 };
	_free_ char *text = print(&thing);

	cr_expect_str_eq(text, "tproxyd-state 1\na.flag 1\na.count 7\na.usec 18446744073709551615\n"
			       "a.why \"\\22\\5c\\0a\\01\\7fö\"\n+a.later 3\nend\n");
	cr_assert_eq(take(text, &back, &err), 0, "%s", err.text);
	cr_expect(back.flag);
	cr_expect_eq(back.count, 7);
	cr_expect_eq(back.usec, UINT64_MAX);
	cr_expect_str_eq(back.why, thing.why);
	cr_expect_eq(back.later, 3);
}

#define HEAD "tproxyd-state 1\n"
#define BODY "a.flag 1\na.count 7\na.usec 5\na.why \"\"\n"

/* What a newer version adds and an older one can do without; what an older one has not said. */
Test(handover, takes_what_is_older_and_newer)
{
	struct thing back = { .later = 5 };
	struct error err = { 0 };

	cr_expect_eq(take(HEAD BODY "end\n", &back, &err), 0, "%s", err.text);
	cr_expect_eq(back.later, 5);
	cr_expect_eq(take(HEAD BODY "+a.new 3\n+b \"text\"\nend\n", &back, &err), 0, "%s",
		     err.text);
	cr_expect_lt(take(HEAD BODY "a.new 3\nend\n", &back, &err), 0);
	cr_expect_str_eq(err.text, "line 6 of the state: \"a.new\" is there twice, or not known to "
				   "this version");
	cr_expect_lt(take("tproxyd-state 2\n" BODY "end\n", &back, &err), 0);
	cr_expect_str_eq(err.text,
			 "the state has form 2, of which only those up to 1 are known here");
}

static void refuses(const char *text, const char *because)
{
	struct thing thing = { 0 };
	struct error err = { 0 };

	cr_expect_lt(take(text, &thing, &err), 0, "%s", text);
	cr_expect(strstr(err.text, because), "%s: %s", text, err.text);
}

Test(handover, refuses_what_is_missing_repeated_impossible_or_no_state)
{
	refuses("", "cut off in line 1");
	refuses("\n", "not the state of a tproxyd");
	refuses("\177ELF\nend\n", "not the state of a tproxyd");
	refuses("tproxyd-state 0\nend\n", "not the state of a tproxyd");
	refuses("tproxyd-state 1x\nend\n", "not the state of a tproxyd");
	refuses(HEAD "end\n", "the state lacks a.flag");
	refuses(HEAD BODY, "cut off in line 6");
	refuses(HEAD BODY "end\nmore 1\n", "goes on after its end");
	refuses(HEAD BODY "a.flag 1\nend\n", "line 6 of the state: \"a.flag\" is there twice");
	refuses(HEAD "a.flag 2\nend\n", "line 2 of the state: a.flag cannot be \"2\"");
	refuses(HEAD "a.flag \"1\"\nend\n", "a.flag cannot be");
	refuses(HEAD "a.flag -1\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "a.flag 1\na.count 18446744073709551616\nend\n", "line 3 of the state is not");
	refuses(HEAD "a.flag 1\na.count 7\na.usec 5\na.why 5\nend\n", "a.why cannot be");
	refuses(HEAD "a.flag 1\na.count 7\na.usec 5\na.why \"12345678\"\nend\n", "a.why cannot be");
	refuses(HEAD "a.why \"\\00\"\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "a.why \"\\4\"\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "a.why \"a\"b\"\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "a.why \"\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD " 1\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "a 1 2\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD "+\nend\n", "line 2 of the state is not a fact");
	refuses(HEAD BODY "+a.later 10\nend\n", "a.later cannot be \"10\"");
}

Test(handover, survives_every_cut_and_every_zero)
{
	const struct thing thing = { true, 7, 5, "why", 3 };
	_free_ char *text = print(&thing);
	size_t len = strlen(text);

	for (size_t at = 0; at < len; at++) {
		struct handover handover = { 0 };
		struct error err = { 0 };
		char saved = text[at];

		cr_expect_lt(handover_parse(text, at, &handover, &err), 0, "cut at %zu", at);
		cr_expect_neq(err.text[0], '\0');
		text[at] = '\0';
		cr_expect_lt(handover_parse(text, len, &handover, &err), 0, "zero at %zu", at);
		text[at] = saved;
	}
}

Test(handover, has_a_limit)
{
	struct handover handover = { 0 };
	struct error err = { 0 };
	_free_ char *text = calloc(1, HANDOVER_MAX + 2);

	cr_assert(text);
	memset(text, 'a', HANDOVER_MAX + 1);
	cr_expect_eq(handover_parse(text, HANDOVER_MAX + 1, &handover, &err), -EFBIG);
}
