/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules as iptables-restore text, byte for byte what `kumactl install transparent-proxy --dry-run`
 * prints. */

#include "common/base/strbuf.h"
#include "common/rules/ruleset.h"

/* One family's text (ends in one newline). */
void print_restore(const struct ruleset *rules, enum family family, struct strbuf *out);

/* Both families with their "### IPv4 ###" headings: the whole of a dry run. */
void print_dry_run(const struct ruleset *rules, struct strbuf *out);

/* Whether two rulesets that one configuration makes are the same rules (the level aside). */
bool ruleset_equal(const struct ruleset *a, const struct ruleset *b);

/* How and where rules are printed. */
struct rule_printer {
	struct strbuf *out;
	bool verbose;
	const char *chain;
	unsigned position; /* of an insert */
};

/* One rule without newline, as in the text: "-A CHAIN …" or "-I CHAIN n …". */
void print_rule(const struct rule_printer *p, const struct rule *rule,
		const struct rule_text *text);

/* What follows the chain's name in it, each word with a blank in front. */
void print_rule_arguments(const struct rule_printer *p, const struct rule *rule,
			  const struct rule_text *text);
