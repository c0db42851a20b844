/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/strbuf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for len more bytes and a NUL. */
static bool reserve(struct strbuf *buf, size_t len)
{
	size_t size = buf->size ? buf->size : 256;
	char *text;

	if (buf->failed)
		return false;
	if (len > SIZE_MAX / 4 - buf->len) {
		buf->failed = true;
		return false;
	}
	while (size < buf->len + len + 1)
		size *= 2;
	if (size == buf->size)
		return true;
	text = realloc(buf->text, size);
	if (!text) {
		buf->failed = true;
		return false;
	}
	buf->text = text;
	buf->size = size;
	buf->text[buf->len] = 0;
	return true;
}

void strbuf_add_len(struct strbuf *buf, const char *text, size_t len)
{
	if (!reserve(buf, len))
		return;
	memcpy(buf->text + buf->len, text, len);
	buf->len += len;
	buf->text[buf->len] = 0;
}

void strbuf_add(struct strbuf *buf, const char *text)
{
	strbuf_add_len(buf, text, strlen(text));
}

void strbuf_addc(struct strbuf *buf, char c)
{
	strbuf_add_len(buf, &c, 1);
}

void strbuf_add_escaped(struct strbuf *buf, const char *text)
{
	static const char marked[] = "\"'&<>";
	static const char *const references[] = { "&#34;", "&#39;", "&amp;", "&lt;", "&gt;" };

	for (; *text; text++) {
		const char *found = strchr(marked, *text);

		if (found)
			strbuf_add(buf, references[found - marked]);
		else
			strbuf_addc(buf, *text);
	}
}

void strbuf_addf(struct strbuf *buf, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !reserve(buf, (size_t)len)) {
		buf->failed = true;
		return;
	}
	va_start(args, fmt);
	(void)vsnprintf(buf->text + buf->len, (size_t)len + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)len;
}

const char *strbuf_text(const struct strbuf *buf)
{
	return buf->text ? buf->text : "";
}

char *strbuf_take(struct strbuf *buf)
{
	char *text = NULL;

	if (reserve(buf, 0)) {
		text = buf->text;
		*buf = (struct strbuf){ 0 };
	} else {
		strbuf_done(buf);
	}
	return text;
}

void strbuf_done(struct strbuf *buf)
{
	free(buf->text);
	*buf = (struct strbuf){ 0 };
}
