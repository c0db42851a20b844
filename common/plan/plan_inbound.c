/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include "common/base/strbuf.h"

/* What becomes of the ports that the Dataplane declares: Envoy serves them only where they are
 * redirected to it, and only at the address that is declared. */

#define DATAPLANE "kumaDP.dataplaneFile"

/* "8080, 8443": those of the Dataplane's ports that are redirected, or those that are not. Ports of
 * SSH, of which protectSSH has told, are neither. "" where there are none. */
static const char *declared_ports(struct planner *p, bool redirected)
{
	const struct port_list *declared = &p->plan->children.dataplane.inbound_ports;
	_strbuf_ struct strbuf text = { 0 };
	const char *copy;

	for (size_t i = 0; i < declared->n; i++) {
		const struct port_list before = { declared->items, i };
		uint16_t port = declared->items[i];

		/* It may be there twice, for two addresses. */
		if (planner_lists(&before, port) || planner_lists(&p->plan->ssh_ports, port) ||
		    planner_redirects(p, port) != redirected)
			continue;
		strbuf_addf(&text, "%s%u", text.len ? ", " : "", port);
	}
	copy = arena_strdup(p->arena, strbuf_text(&text));
	return copy ? copy : "";
}

static void warn_of_ports(struct planner *p)
{
	const struct plan_direction *inbound = &p->plan->inbound;
	const char *ports = declared_ports(p, false), *setting = "redirect.inbound.excludePorts";

	if (!inbound->enabled)
		setting = "redirect.inbound.enabled";
	else if (inbound->include_ports.n)
		setting = "redirect.inbound.includePorts";
	if (*ports)
		say(p, CONFIG_WARNING, setting,
		    "leaves inbounds of the Dataplane (%s) out of the mesh: clients that use mTLS "
		    "get no answer there",
		    ports);
}

/* Exclusions of the family that clients of the mesh come over. */
static void warn_of_clients(struct planner *p, enum family family)
{
	const struct net_list *nets = &p->plan->family[family].exclude_inbound;
	const char *ports = declared_ports(p, true);
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < nets->n; i++)
		strbuf_addf(&text, "%s%s", i ? ", " : "", nets->items[i].text);
	if (text.len && *ports)
		say(p, CONFIG_WARNING, "redirect.inbound.excludePortsForIPs",
		    "lets %s reach inbounds of the Dataplane (%s) past the mesh: clients there "
		    "that use mTLS get no answer",
		    strbuf_text(&text), ports);
}

static void warn_of_plaintext_over_v6(struct planner *p)
{
	const char *ports = declared_ports(p, true);

	if (p->plan->family[FAMILY_V6].enabled && *ports)
		say(p, HOST_WARNING, DATAPLANE,
		    "networking.address is IPv4, and this host has IPv6: the mesh's mTLS does not "
		    "cover what arrives over IPv6, so that inbounds of the Dataplane (%s) can be "
		    "reached in plaintext there; close the ports for IPv6 in the firewall, or let "
		    "the application listen on IPv4 alone",
		    ports);
}

void plan_inbound(struct planner *p)
{
	const char *address = p->plan->children.dataplane.address;
	struct ip_addr addr = { 0 };
	bool known = address && ip_parse(address, &addr);

	warn_of_ports(p);
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (p->plan->family[family].enabled && (!known || addr.family == family))
			warn_of_clients(p, family);
	p->file = p->config->kuma_dp.dataplane_file;
	if (known && addr.family == FAMILY_V6 && !p->plan->family[FAMILY_V6].enabled)
		say(p, HOST_ERROR, DATAPLANE,
		    "networking.address %s is IPv6, which is not redirected: kuma-dp would run "
		    "without a transparent proxy",
		    address);
	else if (known && addr.family == FAMILY_V4)
		warn_of_plaintext_over_v6(p);
	p->file = NULL;
}
