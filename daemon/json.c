/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/json.h"

#include <inttypes.h>
#include <string.h>

/* A quoted string (RFC 8259, section 7). What is not UTF-8 in it cannot come from our own texts. */
static void add_quoted(struct strbuf *out, const char *text)
{
	strbuf_addc(out, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			strbuf_addf(out, "\\%c", c);
		else if (c == '\n')
			strbuf_add(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			strbuf_addf(out, "\\u%04x", c);
		else
			strbuf_addc(out, (char)c);
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
