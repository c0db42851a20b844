/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <stdarg.h>

void say(struct planner *p, enum blame blame, const char *setting, const char *fmt, ...)
{
	const struct origin file = { .kind = ORIGIN_FILE, .name = p->file };
	const struct origin *origin = setting ? loaded_origin(p->loaded, setting) : NULL;
	enum severity severity = blame % ABOUT_HOST;
	const char *text;
	va_list args;

	va_start(args, fmt);
	text = arena_vprintf(p->arena, fmt, args);
	va_end(args);
	(blame & ABOUT_HOST ? diag_add_host : diag_add)(p->diags, severity,
							p->file ? &file : origin, setting, "%s",
							text ? text : "out of memory");
}

bool planner_kuma_dp_is(const struct planner *p, unsigned major, unsigned minor)
{
	const struct facts_program *program = &p->facts->kuma_dp;

	if (!program->major)
		return true;
	return program->major > major || (program->major == major && program->minor >= minor);
}

bool planner_is_own(const struct planner *p, const struct ip_addr *addr)
{
	for (size_t i = 0; i < p->facts->addresses.n; i++)
		if (ip_equal(&p->facts->addresses.items[i], addr))
			return true;
	return false;
}
