/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A page of so many lines and columns (report.h), for text.c: paragraphs, broken at blanks. */

#include <stddef.h>
#include <stdint.h>

#include "common/base/strbuf.h"

#define PAGE_INDENT 16 /* columns of a label */

struct page {
	struct strbuf *out;
	size_t lines; /* so far */
};

/* A paragraph behind a label ("": none, and no room for one), of at most lines_max lines: the last
 * one ends in "…" where there is more. Characters that would move the cursor are replaced. An empty
 * text is left out. */
void page_add(struct page *page, const char *label, const char *text, size_t lines_max);

/* "12 s", "3 min 20 s", "3 h 12 min", "64 days". */
void page_duration(struct strbuf *out, int64_t seconds);
