/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/quote.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "common/base/utf8.h"
#include "common/config/yaml.h"
#include "common/config/scalar.h"

#define QUOTE_MAX 60 /* bytes of a value that a sentence quotes */

/* Characters that end a line, hide, or that YAML does not allow as they are. */
static bool is_odd(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
	       code == 0xfeff || (code & 0xfffe) == 0xfffe;
}

bool text_is_clean(const char *text, bool multiline)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		uint32_t code;
		size_t len = utf8_char((const char *)p, &code);

		if (len == 0)
			return false;
		if (is_odd(code) && !(multiline && (code == '\n' || code == '\t')))
			return false;
		p += len;
	}
	return true;
}

static void add_escaped(struct strbuf *out, const char *text, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;

	strbuf_addc(out, '"');
	while (*p) {
		uint32_t code = 0;
		size_t len = utf8_char((const char *)p, &code);

		if ((size_t)(p - (const unsigned char *)text) >= max) {
			strbuf_add(out, "...");
			break;
		}
		if (len == 0) {
			strbuf_addf(out, "\\x%02x", *p++);
			continue;
		}
		if (code == '"' || code == '\\')
			strbuf_addf(out, "\\%c", (int)code);
		else if (code == '\n')
			strbuf_add(out, "\\n");
		else if (code == '\t')
			strbuf_add(out, "\\t");
		else if (is_odd(code))
			strbuf_addf(out, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
		else
			strbuf_add_len(out, (const char *)p, len);
		p += len;
	}
	strbuf_addc(out, '"');
}

const char *quote_text(struct arena *arena, const char *text)
{
	_strbuf_ struct strbuf buf = { 0 };
	const char *quoted;

	add_escaped(&buf, text, QUOTE_MAX);
	quoted = arena_strdup(arena, strbuf_text(&buf));
	return quoted ? quoted : "?";
}

/* Whether the text stays the same text as a plain scalar, in a flow collection too. */
static bool is_safe_plain(const char *text)
{
	struct yaml_node node = { .kind = NODE_SCALAR, .plain = true, .text = text };

	if (!isalpha((unsigned char)*text) && *text != '/')
		return false;
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_./@+-:", *p))
			return false;
	if (text[strlen(text) - 1] == ':')
		return false;
	return scalar_type(&node) == SCALAR_TEXT;
}

void quote_yaml(const char *text, struct strbuf *out)
{
	if (is_safe_plain(text))
		strbuf_add(out, text);
	else
		add_escaped(out, text, SIZE_MAX);
}
