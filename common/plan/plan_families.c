/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/planner.h"

#include "common/plan/resolv.h"

static bool v6_possible(struct planner *p)
{
	const struct facts *facts = p->facts;
	const char *reason = NULL;

	if (p->config->ip_family_mode == IP_FAMILY_IPV4)
		return false;
	if (!facts->ipv6)
		reason = "this host has no IPv6 address besides ::1";
	else if (!facts->ipv6_loopback)
		reason = "::1 cannot be used on this host";
	else if (!planner_prints(p))
		reason = planner_abilities(p, FAMILY_V6)->no_redirect;
	if (reason)
		say(p, HOST_NOTICE, "ipFamilyMode", "%s: IPv6 is not redirected", reason);
	return !reason;
}

static void choose_drop_invalid(struct planner *p, enum family family)
{
	const char *missing = planner_abilities(p, family)->no_drop_invalid;

	if (!p->config->drop_invalid_packets)
		return;
	p->plan->family[family].drop_invalid = !missing;
	if (missing)
		say(p, planner_prints(p) ? HOST_NOTICE : HOST_ERROR, "dropInvalidPackets", "%s",
		    missing);
}

static void choose_zones(struct planner *p, enum family family)
{
	const char *reason = planner_abilities(p, family)->no_zones;

	if (p->config->redirect.dns.skip_conntrack_zone_split)
		return;
	if (!reason && p->config->redirect.dns.capture_all && planner_docker_output(p, family))
		reason = "not possible when all DNS is captured beside Docker's custom networks "
			 "(chain DOCKER_OUTPUT)";
	if (reason)
		say(p, HOST_NOTICE, "redirect.dns.skipConntrackZoneSplit",
		    "DNS over %s gets no conntrack zone of its own: %s", family_name(family),
		    reason);
	p->plan->family[family].dns_zones = !reason;
}

static void plan_dns(struct planner *p)
{
	const char *path = p->config->redirect.dns.resolv_config_path;
	const struct facts_file *file = &p->facts->resolv_conf;
	bool all = p->config->redirect.dns.capture_all;
	struct ip_list servers[FAMILY_COUNT] = { 0 };
	bool any = false;

	if (!all && !p->config->redirect.dns.enabled)
		return;
	if (!all && !file->text) {
		if (file->problem)
			say(p, HOST_ERROR, "redirect.dns.resolvConfigPath", "%s", file->problem);
		return;
	}
	if (!all)
		resolv_parse(path, file->text, file->len, servers, p->diags);
	for (unsigned family = 0; family < FAMILY_COUNT; family++) {
		struct plan_family *f = &p->plan->family[family];

		if (!f->enabled)
			continue;
		if (!all && !servers[family].n) {
			say(p, HOST_NOTICE, "redirect.dns.enabled",
			    "no %s DNS servers in %s: DNS is not redirected for %s",
			    family_name(family), path, family_name(family));
			continue;
		}
		any = true;
		f->dns = true;
		if (!all)
			f->dns_servers = servers[family];
		f->docker_output = planner_docker_output(p, family);
		choose_zones(p, family);
	}
	if (!any)
		say(p, HOST_WARNING, "redirect.dns.enabled",
		    "no DNS is redirected at all: mesh names will not resolve");
	else
		plan_resolvers(p);
}

void plan_families(struct planner *p)
{
	struct plan *plan = p->plan;

	plan->loopback = p->facts->loopback;
	if (!plan->loopback)
		say(p, HOST_ERROR, NULL, "no loopback interface found on the system");
	plan->family[FAMILY_V4].enabled = true;
	plan->family[FAMILY_V6].enabled = v6_possible(p);
	for (unsigned family = 0; family < FAMILY_COUNT; family++)
		if (plan->family[family].enabled)
			choose_drop_invalid(p, family);
	plan->dns_port = p->config->redirect.dns.port;
	plan->dns_capture_all = p->config->redirect.dns.capture_all;
	plan_dns(p);
}
