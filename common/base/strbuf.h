/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Text that grows on the heap. Failure is sticky, as in an arena: look at `failed` once, at the
 * end. */

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

struct strbuf {
	char *text; /* NUL-terminated; NULL while nothing was added */
	size_t len, size;
	bool failed;
};

void strbuf_add(struct strbuf *buf, const char *text);
void strbuf_add_len(struct strbuf *buf, const char *text, size_t len);
void strbuf_addc(struct strbuf *buf, char c);
void strbuf_addf(struct strbuf *buf, const char *fmt, ...) _printf_(2, 3);

/* Appends text as XML and HTML show it, by the references that Go's html.EscapeString uses. */
void strbuf_add_escaped(struct strbuf *buf, const char *text);

/* The text so far, "" where there is none; valid until the next call. */
const char *strbuf_text(const struct strbuf *buf);

/* Hands the text over (to be freed by the caller) and empties the buffer; NULL when it failed. */
char *strbuf_take(struct strbuf *buf);

void strbuf_done(struct strbuf *buf);
#define _strbuf_ _cleanup_(strbuf_done)
