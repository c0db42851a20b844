/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#define PROTECT_SSH "safety.protectSSH"

static bool resolve(const struct planner *p, enum auto_bool value)
{
	return value == AUTO_BOOL_AUTO ? p->purpose == CHECK_RUN : value == AUTO_BOOL_TRUE;
}

static void protect_port(struct planner *p, const struct facts_ssh_port *ssh)
{
	const struct plan_direction *inbound = &p->plan->inbound;

	/* includePorts voids excludePorts. */
	if (!inbound->include_ports.n && planner_lists(&inbound->exclude_ports, ssh->port))
		return;
	array_push(p->arena, &p->plan->ssh_ports, ssh->port);
	if (planner_lists(&p->plan->children.dataplane.inbound_ports, ssh->port))
		say(p, HOST_WARNING, PROTECT_SSH,
		    "port %u is an inbound of the Dataplane, but it is left out of the mesh: %s",
		    ssh->port, ssh->why);
	else if (ssh->unknown)
		say(p, HOST_WARNING, PROTECT_SSH,
		    "port %u is left out of the mesh, because %s; to be sure of it, name it in "
		    "redirect.inbound.excludePorts",
		    ssh->port, ssh->why);
	else
		say(p, HOST_NOTICE, PROTECT_SSH, "port %u is left out of the mesh: %s", ssh->port,
		    ssh->why);
}

static void protect_ssh(struct planner *p)
{
	const struct ssh_port_list *found = &p->facts->ssh_ports;

	if (p->facts->ssh_unseen)
		say(p, HOST_WARNING, PROTECT_SSH,
		    "an SSH server runs, but on which ports cannot be seen from here, and 'tproxyd "
		    "prepare' has not told: name them in redirect.inbound.excludePorts");
	else if (!found->n)
		say(p, HOST_NOTICE, PROTECT_SSH,
		    "no port of an SSH server is found: nothing is excluded for it");
	for (size_t i = 0; i < found->n; i++)
		protect_port(p, &found->items[i]);
}

/* That one of them is off is warned of with the configuration. */
void plan_safety(struct planner *p)
{
	p->plan->keep_connections = resolve(p, p->config->safety.keep_connections);
	if (p->plan->inbound.enabled && resolve(p, p->config->safety.protect_ssh))
		protect_ssh(p);
}
