/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

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
	bool dns = plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns ||
		   children->dns_mode != CORE_DNS_OFF;
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

void plan_ports(struct planner *p)
{
	const struct claims claims = all_claims(p);

	for (size_t i = 0; i < claims.n; i++)
		for (size_t j = 0; j < i; j++)
			judge(p, &claims.items[j], &claims.items[i]);
}
