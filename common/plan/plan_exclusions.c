/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <string.h>

#include "common/plan/exclusion.h"

#define NETWORKS "redirect.vnet.networks"

static void plan_direction(struct planner *p, const struct config_direction *config,
			   struct plan_direction *ret)
{
	*ret = (struct plan_direction){
		.enabled = config->enabled,
		.port = config->port,
		.include_ports = config->include_ports,
		.exclude_ports = config->exclude_ports,
		.insert = config->insert_redirect_instead_of_append,
		.chain = arena_printf(p->arena, "%s%s", KUMA_MESH_PREFIX, config->chain_name),
		.redirect_chain = arena_printf(p->arena, "%s%s", KUMA_MESH_PREFIX,
					       config->redirect_chain_name),
	};
}

static void plan_nets(struct planner *p, const struct string_list *entries, const char *setting,
		      struct net_list ret[static FAMILY_COUNT])
{
	for (size_t i = 0; i < entries->n; i++) {
		struct error err;

		if (exclusion_parse_nets(p->arena, entries->items[i], ret, &err) < 0)
			say(p, CONFIG_ERROR, setting, "'%s': %s", entries->items[i], err.text);
	}
}

/* Inbound ones are refused with the configuration: packets that come in have no UID. */
static void plan_uids(struct planner *p)
{
	const struct string_list *entries = &p->config->redirect.outbound.exclude_ports_for_uids;

	for (size_t i = 0; i < entries->n; i++) {
		struct error err;

		if (exclusion_parse_uids(p->arena, entries->items[i], &p->plan->exclude_uids,
					 &err) < 0)
			say(p, CONFIG_ERROR, "redirect.outbound.excludePortsForUIDs", "'%s': %s",
			    entries->items[i], err.text);
	}
}

/* Puts it where the interface's name sorts; the last entry of an interface counts, as in the
 * reference, which iterates a map in order of its keys. */
static void put_vnet(struct planner *p, struct vnet_list *list, struct vnet vnet)
{
	size_t at = 0;

	while (at < list->n && strcmp(list->items[at].iface, vnet.iface) < 0)
		at++;
	if (at < list->n && strcmp(list->items[at].iface, vnet.iface) == 0) {
		say(p, CONFIG_NOTICE, NETWORKS,
		    "interface '%s' has %s and %s: only the last one counts", vnet.iface,
		    list->items[at].net.text, vnet.net.text);
	} else {
		array_push(p->arena, list, vnet);
		if (p->arena->failed)
			return;
		memmove(&list->items[at + 1], &list->items[at],
			(list->n - 1 - at) * sizeof(*list->items));
	}
	list->items[at] = vnet;
}

static void plan_vnets(struct planner *p)
{
	const struct string_list *entries = &p->config->redirect.vnet.networks;

	for (size_t i = 0; i < entries->n; i++) {
		struct error err;
		struct vnet vnet;

		if (exclusion_parse_vnet(p->arena, entries->items[i], &vnet, &err) < 0)
			say(p, CONFIG_ERROR, NETWORKS, "'%s': %s", entries->items[i], err.text);
		else
			put_vnet(p, &p->plan->family[vnet.net.prefix.addr.family].vnets, vnet);
	}
}

void plan_exclusions(struct planner *p)
{
	const struct config *config = p->config;
	struct net_list inbound[FAMILY_COUNT] = { 0 }, outbound[FAMILY_COUNT] = { 0 };

	plan_direction(p, &config->redirect.inbound, &p->plan->inbound);
	plan_direction(p, &config->redirect.outbound, &p->plan->outbound);
	plan_vnets(p);
	plan_uids(p);
	plan_nets(p, &config->redirect.inbound.exclude_ports_for_ips,
		  "redirect.inbound.excludePortsForIPs", inbound);
	plan_nets(p, &config->redirect.outbound.exclude_ports_for_ips,
		  "redirect.outbound.excludePortsForIPs", outbound);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		p->plan->family[family].exclude_inbound = inbound[family];
		p->plan->family[family].exclude_outbound = outbound[family];
	}
}
