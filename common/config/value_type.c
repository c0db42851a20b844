/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "common/config/quote.h"
#include "common/config/scalar.h"

bool value_fault(const struct value_target *target, const char *fmt, ...)
{
	struct diag diag = { .origin = target->origin, .setting = target->setting->path };
	va_list args;

	if (target->at) {
		diag.origin.line = target->at->line;
		diag.origin.column = target->at->column;
	}
	va_start(args, fmt);
	diag_vadd(target->diags, diag, fmt, args);
	va_end(args);
	return false;
}

const char *value_found(const struct value_target *target, const char *text)
{
	const struct yaml_node *at = target->at;

	if (!at)
		return *text ? quote_text(target->arena, text) : "an empty text";
	switch (scalar_type(at)) {
	case SCALAR_NONE:
		return at->kind == NODE_SEQUENCE ? "a list" : "a mapping";
	case SCALAR_NULL:
		return "nothing";
	case SCALAR_TEXT:
	case SCALAR_BOOL:
	case SCALAR_NUMBER:
		break;
	}
	text = quote_text(target->arena, at->text);
	if (!at->plain)
		text = arena_printf(target->arena, "the text %s, in quotes,", text);
	return text ? text : "?";
}

bool value_unexpected(const struct value_target *target, const char *text)
{
	const char *found = value_found(target, text);
	const char *const *name = target->setting->names;
	_strbuf_ struct strbuf allowed = { 0 };

	strbuf_add(&allowed, name ? "one of " : target->type->allowed);
	for (; name && *name; name++)
		strbuf_addf(&allowed, "%s%s", *name, name[1] ? ", " : "");
	return value_fault(target, "%s is found where %s is expected", found,
			   strbuf_text(&allowed));
}

bool value_check_text(const struct value_target *target, const char *text)
{
	if (text_is_clean(text, target->setting->type == SETTING_PAIRS))
		return true;
	return value_fault(target, "%s contains a control character or is not UTF-8 text",
			   quote_text(target->arena, text));
}

char *value_trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	for (len = strlen(text); len && isspace((unsigned char)text[len - 1]); len--)
		;
	text[len] = 0;
	return text;
}
