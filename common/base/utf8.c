/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/utf8.h"

#include <stdio.h>

size_t utf8_char(const char *text, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)text;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	uint32_t code = len == 1 ? *p : *p & (0xffU >> (len + 1));

	if (len == 0)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return len;
}

size_t utf8_cut(const char *text, size_t len)
{
	for (size_t kept = 1; kept <= 3 && kept <= len; kept++) {
		unsigned char lead = (unsigned char)text[len - kept];
		size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

		if (lead >> 6 != 2)
			return whole > kept ? len - kept : len;
	}
	return len;
}

void utf8_vprint(char *buf, size_t size, const char *fmt, va_list args)
{
	if (vsnprintf(buf, size, fmt, args) >= (int)size)
		buf[utf8_cut(buf, size - 1)] = '\0';
}

void utf8_print(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	utf8_vprint(buf, size, fmt, args);
	va_end(args);
}

void utf8_add_clean(struct strbuf *out, const char *text, size_t len)
{
	const char *end = text + len, *as_is = text;
	uint32_t code;

	for (size_t n; text < end; text += n ? n : 1) {
		bool space = *text == '\t' || *text == '\n';

		n = utf8_char(text, &code);
		if (!space && n > 0 && code >= 0x20 && (code < 0x7f || code >= 0xa0))
			continue;
		strbuf_add_len(out, as_is, (size_t)(text - as_is));
		strbuf_add(out, space ? " " : "\xef\xbf\xbd");
		as_is = text + (n ? n : 1);
	}
	strbuf_add_len(out, as_is, (size_t)(text - as_is));
}
