/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

/*
 * Where a packet goes. This table is asked about the first packet of a connection only; the others
 * follow it. Our four chains are named without "KUMA_MESH_"; IP, OP and DP are the inbound, the
 * outbound and the DNS port.
 *
 *   from another host
 *   ----> PREROUTING
 *           | UDP/53 of a vnet ----------------------------> REDIRECT DP
 *           | TCP of a vnet -------------------------------> REDIRECT OP
 *           | TCP --> INBOUND
 *           |           | not SYN, SSH, excluded ----------> RETURN
 *           |           ` others --> INBOUND_REDIRECT -----> REDIRECT IP
 *           v
 *         as addressed
 *
 *   from this host
 *   ----> OUTPUT
 *           | excluded users, ports and addresses ---------> RETURN
 *           | UDP/53 of kuma-dp ---------------------------> RETURN (or DOCKER_OUTPUT)
 *           | UDP/53 of others ----------------------------> REDIRECT DP
 *           : what was there before
 *           | TCP/53 of others than kuma-dp ---------------> RETURN
 *           | TCP --> OUTBOUND (or ahead of what was there before)
 *           |           | not SYN, excluded ports ---------> RETURN
 *           |           | Envoy to the application --------> RETURN
 *           |           | kuma-dp over lo, but not to
 *           |           | localhost --> INBOUND_REDIRECT --> REDIRECT IP
 *           |           | others over lo ------------------> RETURN
 *           |           | kuma-dp -------------------------> RETURN
 *           |           | to localhost --------------------> RETURN
 *           |           ` others --> OUTBOUND_REDIRECT ----> REDIRECT OP
 *           v
 *         as addressed
 */

/* Envoy's source address for what it passes on to the application. */
static const struct match_net passthrough[FAMILY_COUNT] = {
	[FAMILY_V4] = { OP_IS, { { FAMILY_V4, { 127, 0, 0, 6 } }, 32 }, "127.0.0.6/32" },
	[FAMILY_V6] = { OP_IS, { { FAMILY_V6, { [15] = 6 } }, 128 }, "::6/128" },
};

static void add_log(struct build *b, struct chain *chain, enum position position,
		    const char *prefix)
{
	const struct verdict log = { VERDICT_LOG, prefix, b->plan->log_level };

	if (b->plan->log_enabled)
		RULE(b, chain, "log matching packets using kernel logging", .position = position,
		     .verdict = log);
}

static void add_vnets(struct build *b, struct chain *chain)
{
	/* As in the reference, whether or not DNS of this host itself is redirected. */
	if (b->level == LEVEL_FULL)
		RULE(b, chain,
		     TEXT(b,
			  "redirect DNS requests on interface %%s to the kuma-dp DNS proxy "
			  "(listening on port %u)",
			  b->plan->dns_port),
		     .position = POSITION_INSERT, .each = EACH(EACH_VNET_IIF, b->f->vnets),
		     .udp_match = true, .proto = IPPROTO_UDP, .dport = DNS_PORT,
		     .verdict = REDIRECT(b->plan->dns_port));
	RULE(b, chain,
	     TEXT(b,
		  "redirect TCP traffic on interface %%s, excluding destination %%s, to the "
		  "envoy's outbound passthrough port %u",
		  b->plan->outbound.port),
	     .position = POSITION_INSERT, .each = EACH(EACH_VNET_IIF_NOT_DST, b->f->vnets),
	     .proto = IPPROTO_TCP, .verdict = REDIRECT(b->plan->outbound.port));
}

static void build_prerouting(struct build *b)
{
	const struct plan_direction *in = &b->plan->inbound;
	struct chain *chain = build_chain(b, "PREROUTING", true);
	bool insert = in->insert || b->f->vnets.n > 0;

	add_log(b, chain, POSITION_APPEND, LOG_PREROUTING);
	add_vnets(b, chain);
	RULE(b, chain,
	     insert ? "redirect remaining TCP traffic to our custom chain for processing"
		    : "redirect inbound TCP traffic to our custom chain for processing",
	     .position = insert ? POSITION_INSERT : POSITION_APPEND, .proto = IPPROTO_TCP,
	     .verdict = JUMP(in->chain));
}

static void add_output_exclusions(struct build *b, struct chain *chain)
{
	static const char comment[] =
		"skip further processing for configured IP addresses, ports and UIDs";

	RULE(b, chain, comment, .position = POSITION_INSERT,
	     .each = EACH(EACH_UID, b->plan->exclude_uids), .verdict = RETURN);
	RULE(b, chain, comment, .position = POSITION_INSERT,
	     .each = EACH(EACH_DST, b->f->exclude_outbound), .verdict = RETURN);
}

/* What kuma-dp itself asks goes out as it is, and TCP queries of applications do. */
static void add_output_dns_direct(struct build *b, struct chain *chain)
{
	bool docker = b->f->docker_output;

	RULE(b, chain,
	     docker ? "redirect DNS traffic from kuma-dp to the DOCKER_OUTPUT chain"
		    : "return early for DNS traffic from kuma-dp",
	     .position = POSITION_INSERT, .proto = IPPROTO_UDP, .dport = DNS_PORT, .uid = b->proxy,
	     .verdict = docker ? JUMP(DOCKER_OUTPUT) : RETURN);
	RULE(b, chain,
	     TEXT(b,
		  "allow applications to perform DNS queries over TCP to port 53 without mesh "
		  "redirection (only traffic not owned by UID %u (kuma-dp user))",
		  b->proxy.lo),
	     .proto = IPPROTO_TCP, .dport = DNS_PORT, .uid = b->others, .verdict = RETURN);
}

static void add_output_dns(struct build *b, struct chain *chain)
{
	uint16_t port = b->plan->dns_port;

	if (b->level != LEVEL_FULL || !b->f->dns)
		return;
	add_output_dns_direct(b, chain);
	RULE(b, chain,
	     TEXT(b,
		  b->plan->dns_capture_all
			  ? "redirect all DNS requests to the kuma-dp DNS proxy (listening on "
			    "port %u)"
			  : "redirect DNS requests to %%s to the kuma-dp DNS proxy (listening on "
			    "port %u)",
		  port),
	     .position = POSITION_INSERT, .each = build_servers(b, EACH_DST_SERVER),
	     .proto = IPPROTO_UDP, .dport = DNS_PORT, .verdict = REDIRECT(port));
}

static void build_output(struct build *b)
{
	const struct plan_direction *out = &b->plan->outbound;
	struct chain *chain = build_chain(b, "OUTPUT", true);

	add_log(b, chain, POSITION_INSERT, LOG_OUTPUT);
	add_output_exclusions(b, chain);
	add_output_dns(b, chain);
	RULE(b, chain, "redirect outbound TCP traffic to our custom chain for processing",
	     .position = out->insert ? POSITION_INSERT : POSITION_APPEND, .proto = IPPROTO_TCP,
	     .verdict = JUMP(out->chain));
}

/*
 * What the chain of a direction begins with. Returns whether more follows.
 *
 * The first packet that conntrack sees of a connection that was opened before it looked at all is
 * taken for the first of the connection; redirected, it would be answered by a reset.
 */
static bool begin(struct build *b, struct chain *chain, const struct plan_direction *dir,
		  const char *name)
{
	if (!dir->enabled)
		RULE(b, chain, TEXT(b, "%s traffic redirection is disabled", name),
		     .proto = IPPROTO_TCP, .verdict = RETURN);
	else if (b->plan->keep_connections)
		RULE(b, chain, "leave TCP connections alone that were opened before the redirect",
		     .proto = IPPROTO_TCP, .syn = OP_NOT, .verdict = RETURN);
	return dir->enabled;
}

static void build_inbound(struct build *b, struct chain *chain)
{
	const struct plan_direction *in = &b->plan->inbound;
	const struct plan *plan = b->plan;

	if (!begin(b, chain, in, "inbound"))
		return;
	RULE(b, chain, "never redirect SSH (port %s), so that no operator is locked out",
	     .each = EACH(EACH_DPORT, plan->ssh_ports), .proto = IPPROTO_TCP, .verdict = RETURN);
	RULE(b, chain, "skip further processing for configured IP address",
	     .each = EACH(EACH_SRC, b->f->exclude_inbound), .verdict = RETURN);
	if (in->include_ports.n > 0) {
		RULE(b, chain,
		     "redirect inbound traffic from port %s to the custom chain for processing",
		     .each = EACH(EACH_DPORT, in->include_ports), .proto = IPPROTO_TCP,
		     .verdict = JUMP(in->redirect_chain));
		return;
	}
	RULE(b, chain, "exclude inbound traffic from port %s from redirection",
	     .each = EACH(EACH_DPORT, in->exclude_ports), .proto = IPPROTO_TCP, .verdict = RETURN);
	RULE(b, chain, "redirect all inbound traffic to the custom chain for processing",
	     .proto = IPPROTO_TCP, .verdict = JUMP(in->redirect_chain));
}

/* Connections over the loopback interface: Envoy to the application, the application to itself, and
 * the application to itself by way of the mesh (Envoy to Envoy, which has to come in again). */
static void add_outbound_loopback(struct build *b, struct chain *chain)
{
	const char *lo = b->plan->loopback, *redirect = b->plan->inbound.redirect_chain;
	struct match_net elsewhere = localhost[b->family];

	elsewhere.op = OP_NOT;
	RULE(b, chain,
	     TEXT(b,
		  "prevent traffic loops by ensuring traffic from the sidecar proxy (using %s) to "
		  "loopback interface is not redirected again",
		  passthrough[b->family].text),
	     .src = passthrough[b->family], .oif = lo, .verdict = RETURN);
	RULE(b, chain,
	     TEXT(b,
		  "redirect outbound TCP traffic destined for loopback interface, but not "
		  "targeting address %s, and owned by UID %u (kuma-dp user) to %s chain for "
		  "proper handling",
		  elsewhere.text, b->proxy.lo, redirect),
	     .proto = IPPROTO_TCP, .oif = lo, .dst = elsewhere, .uid = b->proxy,
	     .verdict = JUMP(redirect));
	RULE(b, chain,
	     TEXT(b,
		  "return outbound TCP traffic destined for loopback interface, owned by any UID "
		  "other than %u (kuma-dp user)",
		  b->proxy.lo),
	     .proto = IPPROTO_TCP, .oif = lo, .uid = b->others, .verdict = RETURN);
}

static void add_outbound_direct(struct build *b, struct chain *chain)
{
	RULE(b, chain,
	     TEXT(b, "return outbound traffic owned by UID %u (kuma-dp user)", b->proxy.lo),
	     .uid = b->proxy, .verdict = RETURN);
	RULE(b, chain,
	     TEXT(b, "return traffic destined for localhost (%s) to avoid redirection",
		  localhost[b->family].text),
	     .dst = localhost[b->family], .verdict = RETURN);
}

static void build_outbound(struct build *b, struct chain *chain)
{
	const struct plan_direction *out = &b->plan->outbound;

	if (!begin(b, chain, out, "outbound"))
		return;
	if (out->include_ports.n == 0)
		RULE(b, chain, "exclude outbound traffic from port %s from redirection",
		     .each = EACH(EACH_DPORT, out->exclude_ports), .proto = IPPROTO_TCP,
		     .verdict = RETURN);
	add_outbound_loopback(b, chain);
	add_outbound_direct(b, chain);
	if (out->include_ports.n > 0)
		RULE(b, chain,
		     "redirect outbound TCP traffic to port %s to our custom chain for further "
		     "processing",
		     .each = EACH(EACH_DPORT, out->include_ports), .proto = IPPROTO_TCP,
		     .verdict = JUMP(out->redirect_chain));
	else
		RULE(b, chain,
		     "redirect all other outbound traffic to our custom chain for further "
		     "processing",
		     .verdict = JUMP(out->redirect_chain));
}

/* At DRAIN nothing leads here, and yet it matters: the REDIRECT target is what keeps conntrack in
 * this network namespace, and with it the translation of connections that are still open. */
static void build_redirect(struct build *b, const struct plan_direction *dir)
{
	struct chain *chain = build_chain(b, dir->redirect_chain, false);

	/* REDIRECT takes the first address of the interface, and drops where there is none. */
	if (b->f->unnumbered && dir == &b->plan->inbound)
		RULE(b, chain,
		     TEXT(b,
			  "redirect TCP traffic to envoy (port %u) at the address that it was sent "
			  "to, also where the interface has none",
			  dir->port),
		     .proto = IPPROTO_TCP, .local_dst = true, .verdict = DNAT(dir->port));
	RULE(b, chain, TEXT(b, "redirect TCP traffic to envoy (port %u)", dir->port),
	     .proto = IPPROTO_TCP, .verdict = REDIRECT(dir->port));
}

void build_nat(struct build *b)
{
	const struct plan *plan = b->plan;
	bool jumps = b->level >= LEVEL_NO_DNS;
	struct chain *chain;

	if (b->level < LEVEL_DRAIN)
		return;
	if (jumps) {
		build_prerouting(b);
		build_output(b);
	}
	chain = build_chain(b, plan->inbound.chain, false);
	if (jumps)
		build_inbound(b, chain);
	chain = build_chain(b, plan->outbound.chain, false);
	if (jumps)
		build_outbound(b, chain);
	build_redirect(b, &plan->inbound);
	build_redirect(b, &plan->outbound);
}
