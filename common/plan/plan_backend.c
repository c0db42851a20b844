/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

/*
 * By which netfilter backend. Rules of nat in the legacy tables and in nf_tables are asked one after
 * the other, in an order that depends on which was there first: where others have some in nf_tables,
 * ours belong there too.
 */

const struct facts_abilities *planner_abilities(const struct planner *p, enum family family)
{
	return &p->facts->family[family].ability[p->plan->backend];
}

bool planner_docker_output(const struct planner *p, enum family family)
{
	return p->facts->family[family].docker_output ||
	       planner_abilities(p, family)->docker_output;
}

bool planner_prints(const struct planner *p)
{
	return p->purpose == CHECK_INSTALL && p->config->dry_run;
}

bool planner_wants_v6(const struct planner *p)
{
	return p->config->ip_family_mode != IP_FAMILY_IPV4 && p->facts->ipv6 &&
	       p->facts->ipv6_loopback;
}

/* Why it cannot redirect anything. */
static const char *no_redirect(const struct planner *p, enum backend_choice backend)
{
	return p->facts->family[FAMILY_V4].ability[backend].no_redirect;
}

/* The first of the things that are asked for which it cannot do; NULL: it can do all of them. */
static const char *lack_of(const struct planner *p, enum backend_choice backend)
{
	bool zones = config_redirects_dns(p->config) &&
		     !p->config->redirect.dns.skip_conntrack_zone_split;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct facts_abilities *have = &p->facts->family[family].ability[backend];

		if (family == FAMILY_V6 && !planner_wants_v6(p))
			continue;
		if (have->no_redirect)
			return have->no_redirect;
		if (p->config->drop_invalid_packets && have->no_drop_invalid)
			return have->no_drop_invalid;
		if (zones && have->no_zones)
			return have->no_zones;
		if (p->facts->family[family].unnumbered && have->no_local)
			return have->no_local;
		if (p->config->log.enabled && have->no_log)
			return have->no_log;
		if (p->config->safety.strict_inbound == AUTO_BOOL_TRUE && have->no_refusal)
			return have->no_refusal;
	}
	return NULL;
}

static enum backend_choice choose(struct planner *p)
{
	const char *iptables = lack_of(p, BACKEND_IPTABLES), *nftables;
	bool foreign = p->facts->nft_nat_foreign;

	/* What firewalld stores are rules of iptables. */
	if (p->config->store_firewalld || (!iptables && !foreign))
		return BACKEND_IPTABLES;
	if (!iptables)
		iptables =
			"nat rules of others are in nf_tables, whose order to ours in the legacy "
			"tables is not certain";
	nftables = lack_of(p, BACKEND_NFTABLES);
	if (!nftables || (no_redirect(p, BACKEND_IPTABLES) && !no_redirect(p, BACKEND_NFTABLES))) {
		p->plan->backend_why = iptables;
		return BACKEND_NFTABLES;
	}
	if (foreign && !no_redirect(p, BACKEND_IPTABLES))
		p->plan->backend_why = arena_printf(p->arena, "%s, and %s", iptables, nftables);
	return BACKEND_IPTABLES;
}

/* Whatever has come since the start is for the next one. */
static void choose_or_keep(struct planner *p)
{
	enum backend_choice best = choose(p), kept = p->facts->backend;

	if (kept != BACKEND_AUTO && kept != best)
		p->plan->backend_why = NULL;
	else if (p->plan->backend_why)
		say(p, HOST_NOTICE, "backend", "%s is used: %s", backend_names[best],
		    p->plan->backend_why);
	p->plan->backend = kept != BACKEND_AUTO ? kept : best;
}

/* What others have there, or will have, that is not as one would think who knows iptables. */
static void say_others(struct planner *p)
{
	const struct facts *facts = p->facts;
	bool legacy = facts->family[FAMILY_V4].nat_exempt || facts->family[FAMILY_V6].nat_exempt;

	if (p->purpose != CHECK_RUN)
		return;
	if (facts->nft_boot_file)
		say(p, HOST_WARNING, "backend",
		    "%s has a table of tproxyd in it: what nftables.service loads may redirect from "
		    "boot on, before any proxy serves, and cannot be loaded while this service runs; "
		    "take the table out of the file",
		    facts->nft_boot_file);
	if (facts->nft_nat_before)
		say(p, HOST_WARNING, "backend",
		    "a nat chain of others comes before the redirect (%s): where it sends connections "
		    "elsewhere they do not pass the proxy",
		    facts->nft_nat_before);
	if (p->plan->backend == BACKEND_NFTABLES && (legacy || facts->nft_nat_exempt))
		say(p, HOST_NOTICE, "backend",
		    "rules of others return or accept in nat (%s): with nftables that exempts "
		    "nothing from the redirect, which has exclusions of its own",
		    facts->nft_nat_exempt ? facts->nft_nat_exempt : "a legacy table");
}

void plan_backend(struct planner *p)
{
	bool automatic = p->config->backend == BACKEND_AUTO;
	const char *missing, *other = NULL;

	if (automatic)
		choose_or_keep(p);
	else
		p->plan->backend = p->config->backend;
	missing = no_redirect(p, p->plan->backend);
	if (automatic)
		other = no_redirect(p, BACKEND_NFTABLES);
	/* What install puts in outlives the process in any case. */
	if (p->purpose == CHECK_RUN)
		p->plan->backend_limit = planner_abilities(p, FAMILY_V4)->no_owner;
	if (p->plan->backend_limit)
		say(p, HOST_NOTICE, "backend", "%s", p->plan->backend_limit);
	say_others(p);
	if (missing && !planner_prints(p))
		say(p, HOST_ERROR, "backend", "%s%s%s", missing, other ? ", and " : "",
		    other ? other : "");
}
