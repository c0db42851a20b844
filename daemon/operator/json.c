/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/operator/json.h"

#include <inttypes.h>
#include <string.h>

/* Length of the well-formed UTF-8 character at p (RFC 3629: shortest form, no surrogates); 0: there
 * is none. */
static size_t utf8_length(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80 ? 1 : *p >> 5 == 6 ? 2 : *p >> 4 == 14 ? 3 : *p >> 3 == 30 ? 4 : 0;
	uint32_t code = len > 1 ? *p & (0xffU >> (len + 1)) : *p;

	for (size_t i = 1; i < len; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		code = code << 6 | (p[i] & 0x3fU);
	}
	if (len && (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)))
		return 0;
	return len;
}

/* A quoted string (RFC 8259, section 7). A user's name, say, need not be UTF-8. The control
 * characters above ASCII are escaped because what reads the replies (libyaml) takes none. */
static void add_quoted(struct strbuf *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t len;

	strbuf_addc(out, '"');
	for (; *p; p += len ? len : 1) {
		len = utf8_length(p);
		if (len == 0)
			strbuf_add(out, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			strbuf_addf(out, "\\%c", *p);
		else if (*p == '\n')
			strbuf_add(out, "\\n");
		else if (*p < 0x20 || *p == 0x7f)
			strbuf_addf(out, "\\u%04x", *p);
		else if (*p == 0xc2 && p[1] < 0xa0)
			strbuf_addf(out, "\\u%04x", p[1]);
		else
			strbuf_add_len(out, (const char *)p, len);
	}
	strbuf_addc(out, '"');
}

static void add_name(struct strbuf *out, const char *name)
{
	const char *text = strbuf_text(out);

	if (out->len && !strchr("{[", text[out->len - 1]))
		strbuf_addc(out, ',');
	if (name) {
		add_quoted(out, name);
		strbuf_addc(out, ':');
	}
}

void json_open(struct strbuf *out, const char *name, char bracket)
{
	add_name(out, name);
	strbuf_addc(out, bracket);
}

void json_close(struct strbuf *out, char bracket)
{
	strbuf_addc(out, bracket);
}

void json_string(struct strbuf *out, const char *name, const char *value)
{
	add_name(out, name);
	if (value)
		add_quoted(out, value);
	else
		strbuf_add(out, "null");
}

void json_number(struct strbuf *out, const char *name, uint64_t value)
{
	add_name(out, name);
	strbuf_addf(out, "%" PRIu64, value);
}

void json_bool(struct strbuf *out, const char *name, bool value)
{
	add_name(out, name);
	strbuf_add(out, value ? "true" : "false");
}
