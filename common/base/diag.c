/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/diag.h"

#include "common/base/array.h"

void diag_vadd(struct diag_list *list, struct diag diag, const char *fmt, va_list args)
{
	if (diag.origin.name)
		diag.origin.name = arena_strdup(list->arena, diag.origin.name);
	if (diag.setting)
		diag.setting = arena_strdup(list->arena, diag.setting);
	diag.text = arena_vprintf(list->arena, fmt, args);
	if (diag.severity == SEVERITY_ERROR)
		list->n_errors++;
	array_push(list->arena, list, diag);
}

void diag_add(struct diag_list *list, enum severity severity, const struct origin *origin,
	      const char *setting, const char *fmt, ...)
{
	struct diag diag = { .severity = severity, .setting = setting };
	va_list args;

	if (origin)
		diag.origin = *origin;
	va_start(args, fmt);
	diag_vadd(list, diag, fmt, args);
	va_end(args);
}

void diag_add_host(struct diag_list *list, enum severity severity, const struct origin *origin,
		   const char *setting, const char *fmt, ...)
{
	struct diag diag = { .severity = severity, .setting = setting, .host = true };
	va_list args;

	if (origin)
		diag.origin = *origin;
	va_start(args, fmt);
	diag_vadd(list, diag, fmt, args);
	va_end(args);
}

bool diag_has_error(const struct diag_list *list, bool host)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].severity == SEVERITY_ERROR && list->items[i].host == host)
			return true;
	return false;
}

void origin_print(const struct origin *origin, struct strbuf *out)
{
	static const char *const marks[] = {
		[ORIGIN_FILE] = "",
		[ORIGIN_ENV] = "$",
		[ORIGIN_FLAG] = "--",
	};

	if (origin->kind == ORIGIN_DEFAULT)
		strbuf_add(out, "default");
	else if (origin->kind != ORIGIN_NONE)
		strbuf_addf(out, "%s%s", marks[origin->kind], origin->name ? origin->name : "?");
	if (origin->kind == ORIGIN_FILE && origin->line)
		strbuf_addf(out, ":%u:%u", origin->line, origin->column);
}

void diag_print(const struct diag *diag, struct strbuf *out)
{
	static const char *const names[] = {
		[SEVERITY_ERROR] = "error",
		[SEVERITY_WARNING] = "warning",
		[SEVERITY_NOTICE] = "notice",
	};

	if (diag->origin.kind != ORIGIN_NONE && diag->origin.kind != ORIGIN_DEFAULT) {
		origin_print(&diag->origin, out);
		strbuf_add(out, ": ");
	}
	strbuf_addf(out, "%s: ", names[diag->severity]);
	if (diag->setting)
		strbuf_addf(out, "%s: ", diag->setting);
	strbuf_add(out, diag->text ? diag->text : "out of memory");
}
