/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

/*
 * A query of an application and the one that the DNS proxy sends on for it can be the same
 * five-tuple once the redirect has rewritten the first; conntrack would take one for the other. Two
 * zones keep them apart (marks.h).
 */

static void build_prerouting(struct build *b)
{
	const struct rule all_responses = {
		.comment = "assign connection tracking zone 1 to all DNS responses",
		.proto = IPPROTO_UDP,
		.sport = match_port(DNS_PORT),
		.verdict = ct_zone(ZONE_SERVERS),
	};
	const struct rule responses = {
		.comment = "assign connection tracking zone 1 to DNS responses from %s",
		.each = EACH(EACH_SRC_SERVER, b->f->dns_servers),
		.proto = IPPROTO_UDP,
		.sport = match_port(DNS_PORT),
		.verdict = ct_zone(ZONE_SERVERS),
	};

	chain_append(b, build_chain(b, "PREROUTING", true),
		     b->plan->dns_capture_all ? &all_responses : &responses);
}

static void build_output_proxy(struct build *b, struct chain *chain)
{
	uid_t uid = b->plan->user.uid;
	const struct rule rules[] = {
		{
			.comment = arena_printf(b->arena,
						"assign connection tracking zone 1 to DNS traffic "
						"from the kuma-dp user (UID %u)",
						uid),
			.proto = IPPROTO_UDP,
			.dport = match_port(DNS_PORT),
			.uid = match_uid(OP_IS, uid),
			.verdict = ct_zone(ZONE_SERVERS),
		},
		{
			.comment = "assign connection tracking zone 2 to DNS responses from the "
				   "kuma-dp DNS proxy",
			.proto = IPPROTO_UDP,
			.sport = match_port(b->plan->dns_port),
			.uid = match_uid(OP_IS, uid),
			.verdict = ct_zone(ZONE_APPLICATIONS),
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

static void build_output_applications(struct build *b, struct chain *chain)
{
	const struct rule all_requests = {
		.comment = "assign connection tracking zone 2 to all DNS requests",
		.proto = IPPROTO_UDP,
		.dport = match_port(DNS_PORT),
		.verdict = ct_zone(ZONE_APPLICATIONS),
	};
	const struct rule per_server[] = {
		{
			.comment = "assign connection tracking zone 2 to DNS requests destined "
				   "for %s",
			.each = EACH(EACH_DST_SERVER, b->f->dns_servers),
			.proto = IPPROTO_UDP,
			.dport = match_port(DNS_PORT),
			.verdict = ct_zone(ZONE_APPLICATIONS),
		},
		/* Without a port: somebody else's DNAT may have changed it. */
		{
			.comment = "assign conntrack zone 1 to DNS responses from the local DNS "
				   "server to localhost, needed when the DNS query port is altered "
				   "by a DNAT iptables rule, such as with Docker containers in a "
				   "custom network",
			.each = EACH(EACH_SRC_LOOPBACK_SERVER, b->f->dns_servers),
			.dst = build_localhost(b, OP_IS),
			.proto = IPPROTO_UDP,
			.verdict = ct_zone(ZONE_SERVERS),
		},
	};

	if (b->plan->dns_capture_all)
		chain_append(b, chain, &all_requests);
	else
		chain_append_all(b, chain, per_server, ELEMENTS(per_server));
}

void build_raw(struct build *b)
{
	struct chain *output;

	if (b->level != LEVEL_FULL || !b->f->dns || !b->f->dns_zones)
		return;
	build_prerouting(b);
	output = build_chain(b, "OUTPUT", true);
	build_output_proxy(b, output);
	build_output_applications(b, output);
}
