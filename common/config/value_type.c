/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/value_type.h"

#include <stdarg.h>

#include "common/config/quote.h"
#include "common/config/scalar.h"

bool value_fault(const struct value_target *target, const struct yaml_node *at, const char *fmt,
		 ...)
{
	struct origin origin = target->origin;
	const char *text;
	va_list args;

	if (at) {
		origin.line = at->line;
		origin.column = at->column;
	}
	va_start(args, fmt);
	text = arena_vprintf(target->arena, fmt, args);
	va_end(args);
	diag_add(target->diags, SEVERITY_ERROR, &origin, target->setting->path, "%s",
		 text ? text : fmt);
	return false;
}

/* "one of auto, true, false". */
static const char *allowed(const struct value_target *target)
{
	_strbuf_ struct strbuf buf = { 0 };
	const char *const *name = target->setting->names;
	const char *text;

	if (!name)
		return target->type->allowed;
	strbuf_add(&buf, "one of ");
	for (; *name; name++)
		strbuf_addf(&buf, "%s%s", *name, name[1] ? ", " : "");
	text = arena_strdup(target->arena, strbuf_text(&buf));
	return text ? text : "?";
}

static const char *describe_node(struct arena *arena, const struct yaml_node *node)
{
	struct scalar scalar;
	const char *text;

	if (node->kind == NODE_SEQUENCE)
		return "a list";
	if (node->kind == NODE_MAPPING)
		return "a mapping";
	scalar_resolve(node, &scalar);
	if (scalar.type == SCALAR_NULL)
		return "nothing";
	text = quote_text(arena, node->text);
	if (!node->plain)
		text = arena_printf(arena, "the text %s, in quotes,", text);
	return text ? text : "?";
}

bool value_unexpected(const struct value_target *target, const struct yaml_node *at)
{
	return value_fault(target, at, "%s is found where %s is expected",
			   describe_node(target->arena, at), allowed(target));
}

bool value_unexpected_text(const struct value_target *target, const char *text)
{
	return value_fault(target, NULL, "%s is found where %s is expected",
			   *text ? quote_text(target->arena, text) : "an empty text",
			   allowed(target));
}

bool value_check_text(const struct value_target *target, const struct yaml_node *at,
		      const char *text)
{
	if (text && !text_is_clean(text, target->setting->type == SETTING_PAIRS))
		return value_fault(target, at,
				   "%s contains a control character or is not UTF-8 text",
				   quote_text(target->arena, text));
	return text;
}
