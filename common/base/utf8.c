/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/utf8.h"

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

void utf8_add(struct strbuf *out, const char *text)
{
	uint32_t code;

	for (size_t len; *text; text += len ? len : 1) {
		len = utf8_char(text, &code);
		if (len)
			strbuf_add_len(out, text, len);
		else
			strbuf_add(out, "\xef\xbf\xbd");
	}
}
