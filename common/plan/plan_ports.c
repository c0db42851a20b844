/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include <stdlib.h>
#include <string.h>

/* Ports that nobody may share: kuma-dp and Envoy take such a configuration without a word. That the
 * redirect's own ports differ was checked with the configuration. */

#define PROMETHEUS_PORT 19153 /* of the coredns that kuma-dp runs */

#define DATAPLANE "kumaDP.dataplaneFile"

struct claim {
	uint16_t port;       /* 0: none is claimed */
	const char *setting; /* NULL: not for the user to choose */
	const char *owner;
	enum {
		CLAIM_OURS,
		CLAIM_REDIRECT,
		CLAIM_INBOUND, /* of the Dataplane: may be there twice, for two addresses */
	} kind;
};

struct claims {
	struct claim *items;
	size_t n;
};

static struct claims all_claims(struct planner *p)
{
	const struct plan *plan = p->plan;
	const struct plan_children *children = &plan->children;
	const struct plan_direction *in = &plan->inbound, *out = &plan->outbound;
	const struct port_list *inbounds = &children->dataplane.inbound_ports;
	uint16_t admin_port = children->dataplane.admin_port;
	bool dns = plan_redirects_dns(plan) || children->dns_mode != CORE_DNS_OFF;
	const struct claim rows[] = {
		{ in->enabled ? in->port : 0, "redirect.inbound.port", "the inbound redirect's",
		  CLAIM_REDIRECT },
		{ out->enabled ? out->port : 0, "redirect.outbound.port", "the outbound redirect's",
		  CLAIM_REDIRECT },
		{ dns ? plan->dns_port : 0, "redirect.dns.port", "the DNS redirect's",
		  CLAIM_REDIRECT },
		{ children->envoy_dns_port, NULL, "that of Envoy's DNS", CLAIM_OURS },
		{ children->dns_mode == CORE_DNS_KUMA_DP ? PROMETHEUS_PORT : 0, NULL,
		  "that of coredns' metrics", CLAIM_OURS },
		{ KUMA_READINESS_PORT, NULL, "kuma-dp's readiness port", CLAIM_OURS },
		{ admin_port, DATAPLANE, "Envoy's admin port (networking.admin.port)", CLAIM_OURS },
		{ admin_port ? 0 : ENVOY_ADMIN_PORT, NULL, "Envoy's admin port", CLAIM_OURS },
	};
	struct claims ret = { 0 };

	for (size_t i = 0; i < ELEMENTS(rows); i++)
		if (rows[i].port)
			array_push(p->arena, &ret, rows[i]);
	for (size_t i = 0; i < inbounds->n; i++)
		array_push(p->arena, &ret,
			   (struct claim){ inbounds->items[i], DATAPLANE,
					   "an inbound of the Dataplane", CLAIM_INBOUND });
	return ret;
}

/* Blames the one that a setting can change. */
static void judge(struct planner *p, const struct claim *a, const struct claim *b)
{
	const struct claim *first = b->setting ? a : b, *second = b->setting ? b : a;

	if (a->port != b->port || (a->kind == b->kind && a->kind != CLAIM_OURS))
		return;
	say(p, CONFIG_ERROR, second->setting, "port %u is %s already%s%s%s, and cannot be %s too",
	    second->port, first->owner, first->setting ? " (" : "",
	    first->setting ? first->setting : "", first->setting ? ")" : "", second->owner);
}

/* Whether a list as the kernel prints it, "8080,9000-9010", has the port. */
static bool is_reserved(const char *list, unsigned port)
{
	while (list && *list) {
		char *end;
		unsigned long lo = strtoul(list, &end, 10), hi = lo;

		if (end == list)
			return false;
		if (*end == '-')
			hi = strtoul(end + 1, &end, 10);
		if (lo <= port && port <= hi)
			return true;
		list = *end == ',' ? end + 1 : NULL;
	}
	return false;
}

/* A port that a connection of this host happens to have is taken when the proxy starts. */
static void judge_ephemeral(struct planner *p, const struct claims *claims)
{
	const struct facts *facts = p->facts;
	const char *reserved = facts->reserved_ports ? facts->reserved_ports : "";
	const char *list = arena_strdup(p->arena, reserved);

	for (size_t i = 0; i < claims->n && list; i++) {
		unsigned port = claims->items[i].port;

		if (claims->items[i].kind != CLAIM_INBOUND && port >= facts->ephemeral_lo &&
		    port <= facts->ephemeral_hi && !is_reserved(list, port))
			list = arena_printf(p->arena, "%s%s%u", list, *list ? "," : "", port);
	}
	if (list && strcmp(list, reserved) != 0)
		say(p, HOST_WARNING, NULL,
		    "connections of this host take their ports from %u to %u "
		    "(net.ipv4.ip_local_port_range), and so may take one of the proxy's before it "
		    "starts; \"sysctl net.ipv4.ip_local_reserved_ports=%s\" keeps them free",
		    facts->ephemeral_lo, facts->ephemeral_hi, list);
}

void plan_ports(struct planner *p)
{
	const struct claims claims = all_claims(p);

	for (size_t i = 0; i < claims.n; i++)
		for (size_t j = 0; j < i; j++)
			judge(p, &claims.items[j], &claims.items[i]);
	judge_ephemeral(p, &claims);
	if (p->facts->missing_capability)
		say(p, HOST_ERROR, NULL, "%s is missing: rules can be neither read nor changed",
		    p->facts->missing_capability);
}
