/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

/*
 * A query of an application and the one that the DNS proxy sends on for it can be the same
 * five-tuple once the redirect has rewritten the first; conntrack would take one for the other. Two
 * zones keep them apart (marks.h).
 */

static void build_prerouting(struct build *b)
{
	RULE(b, build_chain(b, "PREROUTING", true),
	     b->plan->dns_capture_all
		     ? "assign connection tracking zone 1 to all DNS responses"
		     : "assign connection tracking zone 1 to DNS responses from %s",
	     .each = build_servers(b, EACH_SRC_SERVER), .proto = IPPROTO_UDP, .sport = DNS_PORT,
	     .verdict = CT_ZONE(ZONE_SERVERS));
}

/* Their queries leave as they are, and what is answered comes in the servers' zone. */
static void build_output_direct(struct build *b, struct chain *chain)
{
	RULE(b, chain, "assign connection tracking zone 1 to DNS requests that are not redirected",
	     .each = EACH(EACH_UID, b->plan->direct_dns), .verdict = CT_ZONE(ZONE_SERVERS));
}

static void build_output_proxy(struct build *b, struct chain *chain)
{
	RULE(b, chain,
	     TEXT(b,
		  "assign connection tracking zone 1 to DNS traffic from the kuma-dp user (UID %u)",
		  b->proxy.lo),
	     .proto = IPPROTO_UDP, .dport = DNS_PORT, .uid = b->proxy,
	     .verdict = CT_ZONE(ZONE_SERVERS));
	RULE(b, chain,
	     "assign connection tracking zone 2 to DNS responses from the kuma-dp DNS proxy",
	     .proto = IPPROTO_UDP, .sport = b->plan->dns_port, .uid = b->proxy,
	     .verdict = CT_ZONE(ZONE_APPLICATIONS));
}

static void build_output_applications(struct build *b, struct chain *chain)
{
	RULE(b, chain,
	     b->plan->dns_capture_all
		     ? "assign connection tracking zone 2 to all DNS requests"
		     : "assign connection tracking zone 2 to DNS requests destined for %s",
	     .each = build_servers(b, EACH_DST_SERVER), .proto = IPPROTO_UDP, .dport = DNS_PORT,
	     .verdict = CT_ZONE(ZONE_APPLICATIONS));
	if (b->plan->dns_capture_all)
		return;
	/* Without a port: somebody else's DNAT may have changed it. */
	RULE(b, chain,
	     "assign conntrack zone 1 to DNS responses from the local DNS server to localhost, "
	     "needed when the DNS query port is altered by a DNAT iptables rule, such as with "
	     "Docker containers in a custom network",
	     .each = EACH(EACH_SRC_LOOPBACK_SERVER, b->f->dns_servers), .dst = localhost[b->family],
	     .proto = IPPROTO_UDP, .verdict = CT_ZONE(ZONE_SERVERS));
}

void build_raw(struct build *b)
{
	struct chain *output;

	if (b->level != LEVEL_FULL || !b->f->dns || !b->f->dns_zones)
		return;
	build_prerouting(b);
	output = build_chain(b, "OUTPUT", true);
	build_output_direct(b, output);
	build_output_proxy(b, output);
	build_output_applications(b, output);
}
