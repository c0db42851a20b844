/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>

#include "common/base/attr.h"
#include "common/base/cleanup.h"

#define PROGRAMS_MAX 8   /* kuma-dp, envoy, coredns and whatever wraps them */
#define QUOTE_MAX    600 /* bytes of a quoted line: kuma-dp puts the reason last */
#define LINES_MAX    2000

struct quote {
	char program[32];
	char line[QUOTE_MAX];
	int weight;
};

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

/* Copies a field's value; false where the entry lacks it. */
static bool field(sd_journal *journal, const char *name, char *buf, size_t size)
{
	size_t len, skip = strlen(name) + 1;
	const void *data;

	if (sd_journal_get_data(journal, name, &data, &len) < 0 || len < skip)
		return false;
	len -= skip;
	if (len >= size)
		len = size - 1;
	memcpy(buf, (const char *)data + skip, len);
	buf[len] = 0;
	return true;
}

static struct quote *quote_of(struct quote quotes[static PROGRAMS_MAX], const char *program)
{
	for (size_t i = 0; i < PROGRAMS_MAX; i++) {
		if (!quotes[i].program[0])
			memcpy(quotes[i].program, program,
			       strnlen(program, sizeof(quotes[i].program) - 1));
		if (strcmp(quotes[i].program, program) == 0)
			return &quotes[i];
	}
	return NULL;
}

static sd_journal *open_journal(void)
{
	const char *invocation = getenv("INVOCATION_ID");
	_cleanup_(sd_journal_closep) sd_journal *journal = NULL;
	char match[96];

	if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0)
		return NULL;
	if (invocation) {
		(void)snprintf(match, sizeof(match), "_SYSTEMD_INVOCATION_ID=%.64s", invocation);
		if (sd_journal_add_match(journal, match, 0) < 0)
			return NULL;
	}
	if (sd_journal_add_match(journal, "SYSLOG_IDENTIFIER=kuma-dp", 0) < 0 ||
	    sd_journal_add_match(journal, "SYSLOG_IDENTIFIER=coredns", 0) < 0 ||
	    sd_journal_seek_tail(journal) < 0)
		return NULL;
	return take_ptr(journal);
}

void journal_quote_children(uint64_t since_usec, struct strbuf *out)
{
	_cleanup_(sd_journal_closep) sd_journal *journal = open_journal();
	struct quote quotes[PROGRAMS_MAX] = { 0 };

	if (!journal)
		return;
	/* Backwards: the first line met of a program is its last one. */
	for (unsigned i = 0; i < LINES_MAX && sd_journal_previous(journal) > 0; i++) {
		char program[32], line[QUOTE_MAX];
		struct quote *quote;
		uint64_t when;
		int weight;

		if (sd_journal_get_realtime_usec(journal, &when) < 0 || when < since_usec)
			break;
		if (!field(journal, "_COMM", program, sizeof(program)) ||
		    !field(journal, "MESSAGE", line, sizeof(line)))
			continue;
		quote = quote_of(quotes, program);
		weight = weigh(line);
		if (!quote || (quote->line[0] && weight <= quote->weight))
			continue;
		memcpy(quote->line, line, sizeof(line));
		quote->weight = weight;
	}
	for (size_t i = 0; i < PROGRAMS_MAX && quotes[i].program[0]; i++)
		strbuf_addf(out, "; %s said: %s", quotes[i].program, quotes[i].line);
}
