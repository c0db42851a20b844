/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/report/page.h"

#include <string.h>

#include "common/base/attr.h"
#include "common/base/utf8.h"
#include "common/report/report.h"

/* Bytes of the first `columns` characters, or of all. */
static size_t bytes_of(const char *text, size_t columns)
{
	size_t len = 0;
	uint32_t c;

	for (; columns > 0 && text[len]; columns--)
		len += utf8_char(text + len, &c);
	return len;
}

/* How many bytes of text make a line: to the last blank that fits, or where a word is longer than
 * the line, as much as fits. */
static size_t line_of(const char *text, size_t columns)
{
	size_t fits = bytes_of(text, columns), len = fits;

	if (!text[fits] || text[fits] == ' ')
		return fits;
	while (len > 0 && text[len] != ' ')
		len--;
	return len ? len : fits;
}

static void begin_line(struct page *page, const char *label, size_t indent)
{
	size_t len = strlen(label);

	strbuf_add(page->out, label);
	for (; len < indent; len++)
		strbuf_addc(page->out, ' ');
	page->lines++;
}

void page_add(struct page *page, const char *label, const char *text, size_t lines_max)
{
	size_t left = REPORT_LINES - page->lines, indent = *label ? PAGE_INDENT : 0;
	size_t columns = REPORT_COLUMNS - indent;
	_strbuf_ struct strbuf clean = { 0 };
	const char *at;

	utf8_add_clean(&clean, text, strlen(text));
	if (lines_max > left)
		lines_max = left;
	at = strbuf_text(&clean);
	for (size_t n = 1; n <= lines_max && *at; n++) {
		size_t len = line_of(at, columns);
		bool cut = n == lines_max && at[len];

		begin_line(page, n == 1 ? label : "", indent);
		if (cut)
			len = bytes_of(at, columns - 1);
		strbuf_add_len(page->out, at, len);
		strbuf_add(page->out, cut ? "…\n" : "\n");
		at += len;
		at += *at == ' ';
	}
}

void page_duration(struct strbuf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name, *names;
	} units[] = {
		{ 86400, " day", " days" },
		{ 3600, " h", " h" },
		{ 60, " min", " min" },
		{ 1, " s", " s" },
	};
	size_t i = 0;
	int64_t n;

	while (i < ELEMENTS(units) - 1 && seconds < units[i].seconds)
		i++;
	n = seconds / units[i].seconds;
	strbuf_addf(out, "%lld%s", (long long)n, n == 1 ? units[i].name : units[i].names);
	/* Of many days the hours do not matter. */
	seconds %= units[i].seconds;
	if (i + 1 == ELEMENTS(units) || seconds < units[i + 1].seconds || (i == 0 && n > 9))
		return;
	strbuf_addf(out, " %lld%s", (long long)(seconds / units[i + 1].seconds),
		    units[i + 1].names);
}
