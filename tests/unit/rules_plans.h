/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Plans written by hand, for the tests of common/rules: the plain default, and one per worked
 * example (tests/golden/e01 ... e15), which are checked against the same texts.
 */

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/rules/print_restore.h"
#include "common/rules/ruleset.h"

#define _arena_ _cleanup_(arena_done)

#define PORTS(arena, ...)   ports_of(arena, (const uint16_t[]){ __VA_ARGS__, 0 })
#define NETS(arena, ...)    nets_of(arena, (const char *const[]){ __VA_ARGS__, NULL })
#define SERVERS(arena, ...) servers_of(arena, (const char *const[]){ __VA_ARGS__, NULL })
#define VNETS(arena, ...)   vnets_of(arena, (const char *const[]){ __VA_ARGS__, NULL })

_unused_ static struct port_list ports_of(struct arena *arena, const uint16_t *ports)
{
	struct port_list list = { 0 };

	for (; *ports; ports++)
		array_push(arena, &list, *ports);
	return list;
}

static struct net net_of(const char *text)
{
	struct net net = { .text = text };

	cr_assert(ip_prefix_parse(text, &net.prefix), "%s", text);
	return net;
}

_unused_ static struct net_list nets_of(struct arena *arena, const char *const *texts)
{
	struct net_list list = { 0 };

	for (; *texts; texts++)
		array_push(arena, &list, net_of(*texts));
	return list;
}

_unused_ static struct ip_list servers_of(struct arena *arena, const char *const *texts)
{
	struct ip_list list = { 0 };

	for (; *texts; texts++) {
		struct ip_addr addr;

		cr_assert(ip_parse(*texts, &addr), "%s", *texts);
		array_push(arena, &list, addr);
	}
	return list;
}

/* Interface and network in turn. */
_unused_ static struct vnet_list vnets_of(struct arena *arena, const char *const *texts)
{
	struct vnet_list list = { 0 };

	for (; texts[0]; texts += 2)
		array_push(arena, &list,
			   (struct vnet){ .iface = texts[0], .net = net_of(texts[1]) });
	return list;
}

struct range_list {
	struct port_range *items;
	size_t n;
};

/* As printed: "53,3000:5000". */
static struct range_list ranges_of(struct arena *arena, const char *text)
{
	struct range_list list = { 0 };
	unsigned lo, hi;
	int used;

	while (sscanf(text, "%u%n", &lo, &used) == 1) {
		text += used;
		hi = lo;
		if (sscanf(text, ":%u%n", &hi, &used) == 1)
			text += used;
		array_push(arena, &list, (struct port_range){ (uint16_t)lo, (uint16_t)hi });
		if (*text == ',')
			text++;
	}
	cr_assert_eq(*text, 0);
	return list;
}

_unused_ static void exclude_uids(struct arena *arena, struct plan *plan, uint8_t proto,
				  const char *ports, const char *uids)
{
	struct range_list ranges = ranges_of(arena, ports);
	struct uid_exclusion exclusion = {
		.proto = proto,
		.ports = ranges.items,
		.n_ports = ranges.n,
		.ports_text = ports,
		.uids_text = uids,
	};

	cr_assert_geq(sscanf(uids, "%u", &exclusion.uid_lo), 1);
	exclusion.uid_hi = exclusion.uid_lo;
	(void)sscanf(uids, "%*u:%u", &exclusion.uid_hi);
	array_push(arena, &plan->exclude_uids, exclusion);
}

/* What kumactl's defaults give on a host with both families. */
static struct plan plan_default(void)
{
	return (struct plan){
		.user = { .found = true, .name = KUMA_DP_USER, .uid = KUMA_DP_UID },
		.loopback = "lo",
		.family = { { .enabled = true }, { .enabled = true } },
		.inbound = {
			.enabled = true,
			.port = 15006,
			.chain = "KUMA_MESH_INBOUND",
			.redirect_chain = "KUMA_MESH_INBOUND_REDIRECT",
		},
		.outbound = {
			.enabled = true,
			.port = 15001,
			.chain = "KUMA_MESH_OUTBOUND",
			.redirect_chain = "KUMA_MESH_OUTBOUND_REDIRECT",
		},
		.dns_port = 15053,
		.log_level = 7,
		.comments = true,
	};
}

static void plan_dns(struct plan *plan, enum family family, struct ip_list servers)
{
	plan->family[family].dns = true;
	plan->family[family].dns_zones = true;
	plan->family[family].dns_servers = servers;
}

/* --redirect-dns with the servers that most examples have. */
static void fill_e01(struct arena *arena, struct plan *plan)
{
	plan_dns(plan, FAMILY_V4, SERVERS(arena, "10.0.0.2"));
	plan_dns(plan, FAMILY_V6, SERVERS(arena, "2001:db8::53"));
}

static void fill_e02(struct arena *arena, struct plan *plan)
{
	plan_dns(plan, FAMILY_V4, SERVERS(arena, "127.0.0.53"));
}

static void fill_capture_all(struct plan *plan)
{
	plan->dns_capture_all = true;
	plan_dns(plan, FAMILY_V4, (struct ip_list){ 0 });
	plan_dns(plan, FAMILY_V6, (struct ip_list){ 0 });
}

static void fill_e03(_unused_ struct arena *arena, struct plan *plan)
{
	fill_capture_all(plan);
	plan->dns_port = 12345;
}

static void fill_e04(struct arena *arena, struct plan *plan)
{
	plan->outbound.port = 12345;
	plan->inbound.port = 12346;
	plan->outbound.exclude_ports = PORTS(arena, 2000, 2001);
	plan->inbound.exclude_ports = PORTS(arena, 1000, 1001);
}

static void fill_e05(struct arena *arena, struct plan *plan)
{
	fill_e01(arena, plan);
	exclude_uids(arena, plan, IPPROTO_TCP, "1900,1902,1000:2000", "106:108");
	exclude_uids(arena, plan, IPPROTO_UDP, "53", "1001");
	exclude_uids(arena, plan, IPPROTO_TCP, "22", "1002");
	exclude_uids(arena, plan, IPPROTO_UDP, "22", "1002");
	exclude_uids(arena, plan, IPPROTO_TCP, "1:65535", "1003");
	exclude_uids(arena, plan, IPPROTO_UDP, "1:65535", "1003");
}

static void fill_e06(struct arena *arena, struct plan *plan)
{
	struct plan_family *v4 = &plan->family[FAMILY_V4], *v6 = &plan->family[FAMILY_V6];

	v4->exclude_inbound = NETS(arena, "192.168.0.1", "172.32.16.8/16");
	v6->exclude_inbound = NETS(arena, "fe80::/10");
	v4->exclude_outbound = NETS(arena, "10.0.0.1", "192.168.0.0/24");
	v6->exclude_outbound = NETS(arena, "fe80::1", "fd00::/8");
}

static void fill_e07(struct arena *arena, struct plan *plan)
{
	plan->inbound.include_ports = PORTS(arena, 80, 443);
	plan->inbound.exclude_ports = PORTS(arena, 22);
	plan->outbound.include_ports = PORTS(arena, 5432, 6379);
	plan->outbound.exclude_ports = PORTS(arena, 25);
}

static void fill_vnets(struct arena *arena, struct plan *plan)
{
	plan->family[FAMILY_V4].vnets =
		VNETS(arena, "br+", "172.18.0.0/16", "docker0", "172.17.0.0/16");
	plan->family[FAMILY_V6].vnets = VNETS(arena, "iface", "::1/64");
}

static void fill_e08(struct arena *arena, struct plan *plan)
{
	fill_e01(arena, plan);
	fill_vnets(arena, plan);
}

static void fill_e09(struct arena *arena, struct plan *plan)
{
	fill_e01(arena, plan);
	plan->verbose = true;
	plan->inbound.exclude_ports = PORTS(arena, 22);
}

static void fill_e10(struct arena *arena, struct plan *plan)
{
	fill_e01(arena, plan);
	plan->log_enabled = true;
	plan->family[FAMILY_V4].drop_invalid = true;
	plan->family[FAMILY_V6].drop_invalid = true;
	plan->inbound.insert = true;
	plan->outbound.insert = true;
	plan->family[FAMILY_V4].exclude_outbound = NETS(arena, "10.0.0.1");
}

static void fill_e11(_unused_ struct arena *arena, struct plan *plan)
{
	plan->inbound.enabled = false;
	plan->outbound.enabled = false;
	plan->comments = false;
}

static void fill_e12(_unused_ struct arena *arena, struct plan *plan)
{
	fill_capture_all(plan);
	plan->family[FAMILY_V4].dns_zones = false;
	plan->family[FAMILY_V4].docker_output = true;
	plan->family[FAMILY_V6] = (struct plan_family){ .enabled = false };
}

static void fill_e13(struct arena *arena, struct plan *plan)
{
	fill_e01(arena, plan);
	plan->comments = false;
	plan->family[FAMILY_V6] = (struct plan_family){ .enabled = false };
}

static void fill_e14(struct arena *arena, struct plan *plan)
{
	fill_capture_all(plan);
	fill_e06(arena, plan);
	fill_vnets(arena, plan);
	plan->family[FAMILY_V6].exclude_inbound =
		NETS(arena, "fe80::/10", "a81b:a033:6399:73c7:72b6:aa8c:6f22:7098");
	exclude_uids(arena, plan, IPPROTO_TCP, "53,3000:5000", "106:108");
	exclude_uids(arena, plan, IPPROTO_UDP, "53,3000:5000", "106:108");
	plan->outbound.exclude_ports = PORTS(arena, 1, 22, 333);
	plan->inbound.exclude_ports = PORTS(arena, 4444, 55555);
}

static void fill_e15(struct arena *arena, struct plan *plan)
{
	fill_e14(arena, plan);
	plan->dns_port = 8888;
	plan->family[FAMILY_V4].vnets = VNETS(arena, "br+", "172.18.0.0/16", "docker0",
					      "172.17.0.0/16", "docker2", "10.0.0.0/8");
	plan->exclude_uids = (struct uid_exclusion_list){ 0 };
	exclude_uids(arena, plan, IPPROTO_TCP, "1:65535", "1");
	exclude_uids(arena, plan, IPPROTO_UDP, "1:65535", "1");
	exclude_uids(arena, plan, IPPROTO_TCP, "2:3", "4:5");
	exclude_uids(arena, plan, IPPROTO_UDP, "2:3", "4:5");
	plan->outbound.exclude_ports = PORTS(arena, 6, 77, 888);
}

/* Not an example, but all that tproxyd adds. */
static void fill_safe(struct arena *arena, struct plan *plan)
{
	fill_e14(arena, plan);
	plan->keep_connections = true;
	plan->ssh_ports = PORTS(arena, 22, 2222);
}

struct example {
	const char *name;
	void (*fill)(struct arena *arena, struct plan *plan);
};

static const struct example examples[] = {
	{ "e01", fill_e01 }, { "e02", fill_e02 }, { "e03", fill_e03 }, { "e04", fill_e04 },
	{ "e05", fill_e05 }, { "e06", fill_e06 }, { "e07", fill_e07 }, { "e08", fill_e08 },
	{ "e09", fill_e09 }, { "e10", fill_e10 }, { "e11", fill_e11 }, { "e12", fill_e12 },
	{ "e13", fill_e13 }, { "e14", fill_e14 }, { "e15", fill_e15 }, { "safe", fill_safe },
};

_unused_ static struct plan plan_example(struct arena *arena, const struct example *example)
{
	struct plan plan = plan_default();

	example->fill(arena, &plan);
	cr_assert(!arena->failed);
	return plan;
}

_unused_ static char *dry_run_of(const struct plan *plan, enum level level)
{
	struct arena arena = { 0 };
	struct strbuf out = { 0 };
	struct ruleset rules;

	ruleset_build(&arena, plan, level, &rules);
	print_dry_run(&rules, &out);
	cr_assert(!arena.failed);
	arena_done(&arena);
	return strbuf_take(&out);
}

_unused_ static char *file_text(const char *path)
{
	_free_ char *name = NULL;
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	cr_assert_geq(asprintf(&name, "%s/%s", TEST_DATA, path), 0);
	f = fopen(name, "re");
	cr_assert_not_null(f, "%s", name);
	cr_assert_geq(getdelim(&text, &size, 0, f), 0);
	(void)fclose(f);
	return text;
}
