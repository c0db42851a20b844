/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

/* Who answers DNS. What works differs by kuma-dp's version (only 2.11 and later can answer
 * themselves, 3.0 runs no coredns any more) and by the build of coredns: the Corefile that
 * kuma-dp writes needs the plugin `alternate` of Kuma's. */

#define MODE "coreDNS.mode"

#define STOCK_MAJOR 1 /* coredns whose `forward` has `next` and several per block */
#define STOCK_MINOR 12

/* Whether coredns is known to end at once with what kuma-dp itself writes into a Corefile. */
static bool lacks_alternate(const struct planner *p)
{
	const struct facts_program *core_dns = &p->facts->core_dns;

	return core_dns->major && !core_dns->version_problem && !core_dns->has_alternate &&
	       !*p->config->core_dns.corefile;
}

static enum core_dns_mode resolve(const struct planner *p)
{
	const struct config *config = p->config;
	const struct facts_program *kuma_dp = &p->facts->kuma_dp;

	if (config->core_dns.mode != CORE_DNS_AUTO)
		return config->core_dns.mode;
	if (!config_redirects_dns(config))
		return CORE_DNS_OFF;
	if (kuma_dp->major >= 3)
		return CORE_DNS_EMBEDDED;
	return lacks_alternate(p) ? CORE_DNS_TPROXYD : CORE_DNS_KUMA_DP;
}

/* Queries of virtual networks are redirected also where DNS is not. */
static bool has_vnets(const struct plan *plan)
{
	for (unsigned family = 0; family < FAMILY_COUNT; family++)
		if (plan->family[family].enabled && plan->family[family].vnets.n)
			return true;
	return false;
}

static void judge_kuma_dp(struct planner *p, enum core_dns_mode mode)
{
	const struct facts_program *kuma_dp = &p->facts->kuma_dp;

	if (mode == CORE_DNS_EMBEDDED && !planner_kuma_dp_is(p, 2, 11))
		say(p, HOST_ERROR, MODE,
		    "kuma-dp %u.%u cannot answer DNS itself, 2.11 and later can: use "
		    "kuma-dp or tproxyd",
		    kuma_dp->major, kuma_dp->minor);
	if (mode == CORE_DNS_KUMA_DP && kuma_dp->major >= 3)
		say(p, HOST_ERROR, MODE,
		    "kuma-dp %u.%u runs no coredns any more: use embedded or tproxyd",
		    kuma_dp->major, kuma_dp->minor);
	else if (mode == CORE_DNS_KUMA_DP && lacks_alternate(p))
		say(p, HOST_ERROR, MODE,
		    "the Corefile of kuma-dp needs the plugin alternate, which %s lacks: use "
		    "tproxyd or auto, or Kuma's build of coredns",
		    p->facts->core_dns.path);
}

/* Our own Corefile needs `alternate` of Kuma's build, or `next` of a recent one. */
static void judge_own_core_dns(struct planner *p)
{
	const struct facts_program *core_dns = &p->facts->core_dns;

	if (core_dns->has_alternate || *p->config->core_dns.corefile || !core_dns->path ||
	    core_dns->file.problem)
		return;
	if (core_dns->version_problem)
		say(p, HOST_ERROR, "coreDNS.path", "the version of %s cannot be told: %s",
		    core_dns->path, core_dns->version_problem);
	else if (core_dns->major < STOCK_MAJOR ||
		 (core_dns->major == STOCK_MAJOR && core_dns->minor < STOCK_MINOR))
		say(p, HOST_ERROR, "coreDNS.path",
		    "%s is CoreDNS %u.%u.%u: Kuma's build or %d.%d and later is needed, or "
		    "a coreDNS.corefile of your own",
		    core_dns->path, core_dns->major, core_dns->minor, core_dns->patch, STOCK_MAJOR,
		    STOCK_MINOR);
}

static void judge_resolv_conf(struct planner *p)
{
	const struct facts_file *file = &p->facts->resolv_conf;

	/* Without captureAll this is an error already. */
	if (p->config->redirect.dns.capture_all && !file->exists && file->problem)
		say(p, HOST_ERROR, "redirect.dns.resolvConfigPath",
		    "%s, and all names but the mesh's are asked of its servers", file->problem);
}

void plan_dns_mode(struct planner *p)
{
	struct plan_children *children = &p->plan->children;
	enum core_dns_mode mode = resolve(p);

	children->dns_mode = mode;
	judge_kuma_dp(p, mode);
	if (mode == CORE_DNS_OFF && has_vnets(p->plan))
		say(p, CONFIG_WARNING, MODE,
		    "is off, but DNS queries of redirect.vnet.networks are redirected to "
		    "port %u: somebody else has to answer there",
		    p->plan->dns_port);
	if (mode == CORE_DNS_TPROXYD)
		judge_own_core_dns(p);
	if (mode != CORE_DNS_OFF)
		judge_resolv_conf(p);
	if (mode == CORE_DNS_KUMA_DP || mode == CORE_DNS_TPROXYD) {
		children->core_dns = p->facts->core_dns.path;
		children->core_dns_alternate = p->facts->core_dns.has_alternate;
		children->envoy_dns_port = ENVOY_DNS_PORT;
	} else if (*p->config->core_dns.corefile && p->config->core_dns.mode == CORE_DNS_AUTO) {
		say(p, CONFIG_NOTICE, "coreDNS.corefile", "means nothing where no coredns is run");
	}
}
