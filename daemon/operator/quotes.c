/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/quotes.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/base/array.h"
#include "common/base/utf8.h"

#define QUOTE_AGE 2000 /* lines after which a telling one has nothing to do with what happens */

static bool has_word(const char *line, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(line, *words))
			return true;
	return false;
}

/* How much a line tells of a failure: that there was one, or its reason. Envoy, for one, says after
 * "closed: 2, authentication failed …" that another stream's "failure" has it "retry". */
static int weigh(const char *line)
{
	static const char *const reason[] = { "denied", "refused", "could not", "closed: ", NULL };
	static const char *const failure[] = { "error", "fail", NULL };

	/* What kuma-dp says before it leaves. */
	if (has_word(line, reason) || strncmp(line, "Error: ", 7) == 0)
		return 2;
	return has_word(line, failure) ? 1 : 0;
}

static struct quote *quote_of(struct quotes *quotes, const char *program)
{
	for (size_t i = 0; i < QUOTES_MAX; i++) {
		struct quote *quote = &quotes->items[i];

		if (!quote->program[0])
			memcpy(quote->program, program, strlen(program) + 1);
		if (strcmp(quote->program, program) == 0)
			return quote;
	}
	return NULL;
}

void quotes_remember(struct quotes *quotes, const char *program, const char *line)
{
	struct quote *quote = quote_of(quotes, program);
	int weight = weigh(line);

	if (!quote || (weight < quote->weight && ++quote->age < QUOTE_AGE))
		return;
	utf8_print(quote->line, sizeof(quote->line), "%s", line);
	quote->weight = weight;
	quote->age = 0;
}

void quotes_print(const struct quotes *quotes, struct strbuf *out)
{
	for (size_t i = 0; i < QUOTES_MAX && quotes->items[i].program[0]; i++)
		strbuf_addf(out, "; %s said: %s", quotes->items[i].program, quotes->items[i].line);
}

static const struct handover_fact facts[] = {
	HANDOVER_TEXT("program", quote, program),
	HANDOVER_TEXT("line", quote, line),
	HANDOVER_NUMBER("weight", quote, weight, 2),
	HANDOVER_NUMBER("age", quote, age, UINT_MAX),
};
static const struct handover_table table = { facts, ELEMENTS(facts) };

void quotes_add_facts(const struct quotes *quotes, const char *prefix, struct strbuf *out)
{
	char whole[32];

	for (unsigned i = 0; i < QUOTES_MAX; i++) {
		(void)snprintf(whole, sizeof(whole), "%squote-%u.", prefix, i);
		handover_add_facts(out, whole, &table, &quotes->items[i]);
	}
}

int quotes_take_facts(struct quotes *quotes, const char *prefix, struct handover *handover,
		      struct error *err)
{
	char whole[32];
	int r = 0;

	for (unsigned i = 0; i < QUOTES_MAX && r == 0; i++) {
		(void)snprintf(whole, sizeof(whole), "%squote-%u.", prefix, i);
		r = handover_take_facts(handover, whole, &table, &quotes->items[i], err);
	}
	return r;
}
