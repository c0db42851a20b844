/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

#include "common/base/strbuf.h"

#define SETTING "kumaDP.dataplaneFile"

static void judge_redirect_port(struct planner *p, const char *field, uint16_t declared,
				const struct plan_direction *direction, const char *setting)
{
	if (!direction->enabled || declared == direction->port)
		return;
	if (declared)
		say(p, CONFIG_ERROR, SETTING,
		    "networking.transparentProxying.%s is %u, but %s is %u: they must be equal",
		    field, declared, setting, direction->port);
	else if (!planner_kuma_dp_is(p, 2, 11))
		say(p, CONFIG_ERROR, SETTING,
		    "networking.transparentProxying.%s is missing: kuma-dp 2.10 needs it, and it "
		    "must be %u (%s)",
		    field, direction->port, setting);
}

static void judge_redirect(struct planner *p, const struct dataplane *dataplane)
{
	if (!dataplane->has_transparent_proxying && !planner_kuma_dp_is(p, 2, 11))
		say(p, CONFIG_ERROR, SETTING,
		    "networking.transparentProxying is missing: kuma-dp before 2.11 learns of the "
		    "redirect from it alone");
	if (dataplane->has_outbound)
		say(p, CONFIG_ERROR, SETTING,
		    "networking.outbound must be absent: with a transparent proxy all "
		    "destinations are outbounds");
	if (!dataplane->has_transparent_proxying)
		return;
	judge_redirect_port(p, "redirectPortInbound", dataplane->redirect_port_inbound,
			    &p->plan->inbound, "redirect.inbound.port");
	judge_redirect_port(p, "redirectPortOutbound", dataplane->redirect_port_outbound,
			    &p->plan->outbound, "redirect.outbound.port");
	/* From 2.11 on kuma-dp is told, and what the resource says about it does not count. */
	if (!planner_kuma_dp_is(p, 2, 11) && dataplane->ipv4_only &&
	    p->plan->family[FAMILY_V6].enabled)
		say(p, CONFIG_ERROR, SETTING,
		    "networking.transparentProxying.ipFamilyMode is IPv4, but IPv6 would be "
		    "redirected: set ipFamilyMode: ipv4");
}

/* The host's addresses but loopback ones, for a sentence. */
static const char *own_addresses(struct planner *p)
{
	const struct ip_list *list = &p->facts->addresses;
	const char *ret = NULL;
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < list->n; i++) {
		if (ip_is_loopback(&list->items[i]))
			continue;
		ip_print(&list->items[i], text);
		ret = ret ? arena_printf(p->arena, "%s, %s", ret, text)
			  : arena_strdup(p->arena, text);
	}
	return ret ? ret : "none";
}

/* field names an address that others are told. */
static void judge_address(struct planner *p, const char *field, const char *address)
{
	struct ip_addr addr;

	if (!ip_parse(address, &addr)) {
		if (address[strspn(address, "0123456789.")])
			say(p, CONFIG_NOTICE, SETTING,
			    "%s '%s' is a name: that it is this host is not checked", field,
			    address);
		else /* for DNS a name, and for people a mistyped address */
			say(p, CONFIG_ERROR, SETTING, "%s '%s' is not an IP address", field,
			    address);
		return;
	}
	if (ip_is_unspecified(&addr) || ip_is_loopback(&addr)) {
		say(p, CONFIG_ERROR, SETTING, "%s %s is not an address that others can reach",
		    field, address);
		return;
	}
	if (!planner_is_own(p, &addr))
		say(p, HOST_ERROR, SETTING, "%s %s is not an address of this host (which has %s)",
		    field, address, own_addresses(p));
}

static void judge_addresses(struct planner *p, const struct dataplane *dataplane)
{
	const struct string_list *inbounds = &dataplane->inbound_addresses;

	if (*dataplane->address)
		judge_address(p, "networking.address", dataplane->address);
	else
		say(p, CONFIG_ERROR, SETTING, "networking.address must be given");
	for (size_t i = 0; i < inbounds->n; i++)
		if (inbounds->items[i])
			judge_address(p, "networking.inbound: address", inbounds->items[i]);
}

static void judge_service_addresses(struct planner *p, const struct dataplane *dataplane)
{
	for (size_t i = 0; i < dataplane->service_addresses.n; i++) {
		const struct service_address *service = &dataplane->service_addresses.items[i];
		const struct origin origin = { ORIGIN_FILE, p->file, service->line,
					       service->column };
		struct ip_addr addr;

		if (!ip_parse(service->text, &addr) || ip_is_loopback(&addr) ||
		    ip_is_unspecified(&addr) || planner_is_own(p, &addr))
			continue;
		diag_add_host(
			p->diags, SEVERITY_WARNING, &origin, SETTING,
			"serviceAddress %s is not an address of this host (which has %s): the "
			"proxy sends what arrives for the inbound to another host or container",
			service->text, own_addresses(p));
	}
}

/* The mesh cannot work when the application is exempt from it. */
static void judge_listeners(struct planner *p, const struct dataplane *dataplane)
{
	const struct facts *facts = p->facts;

	if (!p->plan->user.found)
		return;
	for (size_t i = 0; i < dataplane->inbound_ports.n; i++) {
		uint16_t port = dataplane->inbound_ports.items[i];

		for (size_t j = 0; j < facts->listeners.n; j++) {
			if (facts->listeners.items[j].port != port ||
			    facts->listeners.items[j].uid != p->plan->user.uid)
				continue;
			say(p, HOST_ERROR, "kumaDPUser",
			    "a process of user '%s' (UID %u) listens on port %u, an inbound of the Dataplane: the "
			    "application would be exempt from the mesh; run it as another user",
			    p->plan->user.name, p->plan->user.uid, port);
			break;
		}
	}
}

void plan_dataplane(struct planner *p)
{
	const char *path = p->config->kuma_dp.dataplane_file;
	const struct facts_file *file = &p->facts->dataplane;
	struct plan_children *children = &p->plan->children;
	struct dataplane_file resource = {
		.path = path,
		.text = file->text,
		.len = file->len,
		.major = p->facts->kuma_dp.major,
		.minor = p->facts->kuma_dp.minor,
	};

	children->resource = file->text;
	resource.text =
		dataplane_render(p->arena, &resource, &p->config->kuma_dp.dataplane_vars, p->diags);
	if (!resource.text)
		return;
	resource.len = strlen(resource.text);
	if (dataplane_parse(p->arena, &resource, &children->dataplane, p->diags) < 0)
		return;
	p->file = path;
	judge_redirect(p, &children->dataplane);
	judge_addresses(p, &children->dataplane);
	judge_service_addresses(p, &children->dataplane);
	p->file = NULL;
	judge_listeners(p, &children->dataplane);
}
