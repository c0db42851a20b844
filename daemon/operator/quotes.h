/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the programs of a child have said last that tells of a failure: it is quoted when the child ends. */

#include "common/base/strbuf.h"
#include "common/supervise/handover.h"

#define QUOTES_MAX 8   /* kuma-dp, envoy, coredns and whatever wraps them */
#define QUOTE_MAX  600 /* bytes of a quoted line: kuma-dp puts the reason last */

struct quote {
	char program[32]; /* "": a free one */
	char line[QUOTE_MAX];
	int weight;
	unsigned age; /* lines of the program since */
};

struct quotes {
	struct quote items[QUOTES_MAX];
};

/* A line of the program, of which the one that tells most is kept. */
void quotes_remember(struct quotes *quotes, const char *program, const char *line);

/* Appends "; PROGRAM said: LINE" for each. */
void quotes_print(const struct quotes *quotes, struct strbuf *out);

/* For a successor. */
void quotes_add_facts(const struct quotes *quotes, const char *prefix, struct strbuf *out);
int quotes_take_facts(struct quotes *quotes, const char *prefix, struct handover *handover,
		      struct error *err) _must_check_;
