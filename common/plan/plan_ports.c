/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

/* Ports that nobody may share: kuma-dp and Envoy take such a configuration without a word. That the
 * redirect's own ports differ was checked with the configuration. */

#define PROMETHEUS_PORT 19153 /* of the coredns that kuma-dp runs */

struct claim {
	uint16_t port;
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

static void claim(struct planner *p, struct claims *claims, struct claim claim)
{
	array_push(p->arena, claims, claim);
}

static void claim_redirects(struct planner *p, struct claims *claims)
{
	const struct plan *plan = p->plan;

	if (plan->inbound.enabled)
		claim(p, claims,
		      (struct claim){ plan->inbound.port, "redirect.inbound.port",
				      "the inbound redirect's", CLAIM_REDIRECT });
	if (plan->outbound.enabled)
		claim(p, claims,
		      (struct claim){ plan->outbound.port, "redirect.outbound.port",
				      "the outbound redirect's", CLAIM_REDIRECT });
	if (plan->family[FAMILY_V4].dns || plan->family[FAMILY_V6].dns ||
	    plan->children.dns_mode != CORE_DNS_OFF)
		claim(p, claims,
		      (struct claim){ plan->dns_port, "redirect.dns.port", "the DNS redirect's",
				      CLAIM_REDIRECT });
}

static void claim_children(struct planner *p, struct claims *claims)
{
	const struct plan_children *children = &p->plan->children;
	const struct dataplane *dataplane = &children->dataplane;

	if (children->envoy_dns_port)
		claim(p, claims,
		      (struct claim){ children->envoy_dns_port, NULL, "that of Envoy's DNS",
				      CLAIM_OURS });
	if (children->dns_mode == CORE_DNS_KUMA_DP)
		claim(p, claims,
		      (struct claim){ PROMETHEUS_PORT, NULL, "that of coredns' metrics",
				      CLAIM_OURS });
	claim(p, claims,
	      (struct claim){ KUMA_READINESS_PORT, NULL, "kuma-dp's readiness port", CLAIM_OURS });
	if (dataplane->admin_port)
		claim(p, claims,
		      (struct claim){ dataplane->admin_port, "kumaDP.dataplaneFile",
				      "Envoy's admin port (networking.admin.port)", CLAIM_OURS });
	else
		claim(p, claims,
		      (struct claim){ ENVOY_ADMIN_PORT, NULL, "Envoy's admin port", CLAIM_OURS });
	for (size_t i = 0; i < dataplane->inbound_ports.n; i++)
		claim(p, claims,
		      (struct claim){ dataplane->inbound_ports.items[i], "kumaDP.dataplaneFile",
				      "an inbound of the Dataplane", CLAIM_INBOUND });
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
	struct claims claims = { 0 };

	claim_redirects(p, &claims);
	claim_children(p, &claims);
	for (size_t i = 0; i < claims.n; i++)
		for (size_t j = 0; j < i; j++)
			judge(p, &claims.items[j], &claims.items[i]);
}
