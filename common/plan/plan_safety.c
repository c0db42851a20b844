/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#define PROTECT_SSH "safety.protectSSH"

static bool resolve(const struct planner *p, enum auto_bool value)
{
	return value == AUTO_BOOL_AUTO ? p->purpose == CHECK_RUN : value == AUTO_BOOL_TRUE;
}

static bool holds(const struct port_list *list, uint16_t port)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->items[i] == port)
			return true;
	return false;
}

/* Inserts in ascending order, once. */
static void add_port(struct planner *p, struct port_list *list, uint16_t port)
{
	size_t at = list->n;

	if (holds(list, port))
		return;
	array_push(p->arena, list, port);
	if (p->arena->failed)
		return;
	for (; at > 0 && list->items[at - 1] > port; at--)
		list->items[at] = list->items[at - 1];
	list->items[at] = port;
}

static void protect_ssh(struct planner *p)
{
	const struct facts *facts = p->facts;
	const struct plan_direction *inbound = &p->plan->inbound;
	const struct port_list *declared = &p->plan->children.dataplane.inbound_ports;
	struct port_list found = { 0 };

	for (size_t i = 0; i < facts->listeners.n; i++)
		if (facts->listeners.items[i].sshd)
			add_port(p, &found, facts->listeners.items[i].port);
	for (size_t i = 0; i < facts->ssh_session_ports.n; i++)
		add_port(p, &found, facts->ssh_session_ports.items[i]);
	if (!found.n)
		say(p, HOST_NOTICE, PROTECT_SSH,
		    "no port of sshd is found: nothing is excluded for it");
	for (size_t i = 0; i < found.n; i++) {
		uint16_t port = found.items[i];

		if (holds(declared, port))
			say(p, HOST_WARNING, PROTECT_SSH,
			    "port %u is an inbound of the Dataplane, but sshd serves it: it "
			    "is left out of the mesh",
			    port);
		/* includePorts voids excludePorts. */
		if (inbound->include_ports.n || !holds(&inbound->exclude_ports, port))
			array_push(p->arena, &p->plan->ssh_ports, port);
	}
}

/* That one of them is off is warned of with the configuration. */
void plan_safety(struct planner *p)
{
	p->plan->keep_connections = resolve(p, p->config->safety.keep_connections);
	if (p->plan->inbound.enabled && resolve(p, p->config->safety.protect_ssh))
		protect_ssh(p);
}
