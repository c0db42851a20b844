/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <stdarg.h>

void say(struct planner *p, enum blame blame, const char *setting, const char *fmt, ...)
{
	struct diag diag = {
		.severity = blame % ABOUT_HOST,
		.host = blame & ABOUT_HOST,
		.setting = setting,
	};
	va_list args;

	if (p->file)
		diag.origin = (struct origin){ .kind = ORIGIN_FILE, .name = p->file };
	else if (setting)
		diag.origin = *loaded_origin(p->loaded, setting);
	va_start(args, fmt);
	diag_vadd(p->diags, diag, fmt, args);
	va_end(args);
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
	return ip_list_has(&p->facts->addresses, addr);
}

bool planner_lists(const struct port_list *list, uint16_t port)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i] == port)
			return true;
	return false;
}

bool planner_takes(const struct plan_direction *direction, uint16_t port)
{
	if (!direction->enabled)
		return false;
	if (direction->include_ports.n)
		return planner_lists(&direction->include_ports, port);
	return !planner_lists(&direction->exclude_ports, port);
}

bool planner_redirects(const struct planner *p, uint16_t port)
{
	return planner_takes(&p->plan->inbound, port) && !planner_lists(&p->plan->ssh_ports, port);
}
