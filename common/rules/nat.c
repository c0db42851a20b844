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
static struct match_net match_passthrough(const struct build *b)
{
	static const struct match_net passthrough[FAMILY_COUNT] = {
		[FAMILY_V4] = {
			.op = OP_IS,
			.net = { .addr = { FAMILY_V4, { 127, 0, 0, 6 } }, .len = 32 },
			.text = "127.0.0.6/32",
		},
		[FAMILY_V6] = {
			.op = OP_IS,
			.net = { .addr = { FAMILY_V6, { [15] = 6 } }, .len = 128 },
			.text = "::6/128",
		},
	};

	return passthrough[b->family];
}

static void build_log(struct build *b, struct chain *chain, enum position position,
		      const char *prefix)
{
	const struct rule rule = {
		.position = position,
		.comment = "log matching packets using kernel logging",
		.verdict = { .kind = VERDICT_LOG, .text = prefix, .number = b->plan->log_level },
	};

	if (b->plan->log_enabled)
		chain_append(b, chain, &rule);
}

static void build_vnets(struct build *b, struct chain *chain)
{
	const struct rule dns = {
		.position = POSITION_INSERT,
		.comment = arena_printf(b->arena,
					"redirect DNS requests on interface %%s to the kuma-dp DNS "
					"proxy (listening on port %u)",
					b->plan->dns_port),
		.each = EACH(EACH_VNET_IIF, b->f->vnets),
		.udp_match = true,
		.proto = IPPROTO_UDP,
		.dport = match_port(DNS_PORT),
		.verdict = redirect_to(b->plan->dns_port),
	};
	const struct rule tcp = {
		.position = POSITION_INSERT,
		.comment =
			arena_printf(b->arena,
				     "redirect TCP traffic on interface %%s, excluding "
				     "destination %%s, to the envoy's outbound passthrough port %u",
				     b->plan->outbound.port),
		.each = EACH(EACH_VNET_IIF_NOT_DST, b->f->vnets),
		.proto = IPPROTO_TCP,
		.verdict = redirect_to(b->plan->outbound.port),
	};

	/* As in the reference, whether or not DNS of this host itself is redirected. */
	if (b->level == LEVEL_FULL)
		chain_append(b, chain, &dns);
	chain_append(b, chain, &tcp);
}

static void build_prerouting(struct build *b)
{
	const struct plan_direction *in = &b->plan->inbound;
	struct chain *chain = build_chain(b, "PREROUTING", true);
	bool insert = in->insert || b->f->vnets.n > 0;
	const struct rule jump = {
		.position = insert ? POSITION_INSERT : POSITION_APPEND,
		.comment = insert ? "redirect remaining TCP traffic to our custom chain for "
				    "processing"
				  : "redirect inbound TCP traffic to our custom chain for "
				    "processing",
		.proto = IPPROTO_TCP,
		.verdict = jump_to(in->chain),
	};

	build_log(b, chain, POSITION_APPEND, LOG_PREROUTING);
	build_vnets(b, chain);
	chain_append(b, chain, &jump);
}

static void build_output_exclusions(struct build *b, struct chain *chain)
{
	static const char comment[] =
		"skip further processing for configured IP addresses, ports and UIDs";
	const struct rule rules[] = {
		{
			.position = POSITION_INSERT,
			.comment = comment,
			.each = EACH(EACH_UID, b->plan->exclude_uids),
			.verdict = { .kind = VERDICT_RETURN },
		},
		{
			.position = POSITION_INSERT,
			.comment = comment,
			.each = EACH(EACH_DST, b->f->exclude_outbound),
			.verdict = { .kind = VERDICT_RETURN },
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

/* What kuma-dp itself asks goes out as it is, and TCP queries of applications do. */
static void build_output_dns_direct(struct build *b, struct chain *chain)
{
	uid_t uid = b->plan->user.uid;
	const char *docker = b->f->docker_output ? DOCKER_OUTPUT : NULL;
	const struct rule rules[] = {
		{
			.position = POSITION_INSERT,
			.comment = docker ? "redirect DNS traffic from kuma-dp to the "
					    "DOCKER_OUTPUT chain"
					  : "return early for DNS traffic from kuma-dp",
			.proto = IPPROTO_UDP,
			.dport = match_port(DNS_PORT),
			.uid = match_uid(OP_IS, uid),
			.verdict = docker ? jump_to(docker)
					  : (struct verdict){ .kind = VERDICT_RETURN },
		},
		{
			.comment = arena_printf(b->arena,
						"allow applications to perform DNS queries over "
						"TCP to port 53 without mesh redirection (only "
						"traffic not owned by UID %u (kuma-dp user))",
						uid),
			.proto = IPPROTO_TCP,
			.dport = match_port(DNS_PORT),
			.uid = match_uid(OP_NOT, uid),
			.verdict = { .kind = VERDICT_RETURN },
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

static void build_output_dns(struct build *b, struct chain *chain)
{
	const struct plan *plan = b->plan;
	const struct rule all = {
		.position = POSITION_INSERT,
		.comment = arena_printf(b->arena,
					"redirect all DNS requests to the kuma-dp DNS proxy "
					"(listening on port %u)",
					plan->dns_port),
		.proto = IPPROTO_UDP,
		.dport = match_port(DNS_PORT),
		.verdict = redirect_to(plan->dns_port),
	};
	const struct rule per_server = {
		.position = POSITION_INSERT,
		.comment = arena_printf(b->arena,
					"redirect DNS requests to %%s to the kuma-dp DNS proxy "
					"(listening on port %u)",
					plan->dns_port),
		.each = EACH(EACH_DST_SERVER, b->f->dns_servers),
		.proto = IPPROTO_UDP,
		.dport = match_port(DNS_PORT),
		.verdict = redirect_to(plan->dns_port),
	};

	if (b->level != LEVEL_FULL || !b->f->dns)
		return;
	build_output_dns_direct(b, chain);
	chain_append(b, chain, plan->dns_capture_all ? &all : &per_server);
}

static void build_output(struct build *b)
{
	const struct plan_direction *out = &b->plan->outbound;
	struct chain *chain = build_chain(b, "OUTPUT", true);
	const struct rule jump = {
		.position = out->insert ? POSITION_INSERT : POSITION_APPEND,
		.comment = "redirect outbound TCP traffic to our custom chain for processing",
		.proto = IPPROTO_TCP,
		.verdict = jump_to(out->chain),
	};

	build_log(b, chain, POSITION_INSERT, LOG_OUTPUT);
	build_output_exclusions(b, chain);
	build_output_dns(b, chain);
	chain_append(b, chain, &jump);
}

/*
 * The first packet that conntrack sees of a connection that was opened before it looked at all is
 * taken for the first of the connection; redirected, it would be answered by a reset.
 */
static void build_keep(struct build *b, struct chain *chain)
{
	const struct rule rule = {
		.comment = "leave TCP connections alone that were opened before the redirect",
		.proto = IPPROTO_TCP,
		.not_syn = true,
		.verdict = { .kind = VERDICT_RETURN },
	};

	if (b->plan->keep_connections)
		chain_append(b, chain, &rule);
}

static void build_disabled(struct build *b, struct chain *chain, const char *comment)
{
	const struct rule rule = {
		.comment = comment,
		.proto = IPPROTO_TCP,
		.verdict = { .kind = VERDICT_RETURN },
	};

	chain_append(b, chain, &rule);
}

static void build_inbound_exclusions(struct build *b, struct chain *chain)
{
	const struct plan *plan = b->plan;
	const struct rule rules[] = {
		{
			.comment =
				"never redirect SSH (port %s), so that no operator is locked out",
			.each = { .kind = EACH_DPORT,
				  .items = plan->ssh_ports,
				  .n = plan->n_ssh_ports },
			.proto = IPPROTO_TCP,
			.verdict = { .kind = VERDICT_RETURN },
		},
		{
			.comment = "skip further processing for configured IP address",
			.each = EACH(EACH_SRC, b->f->exclude_inbound),
			.verdict = { .kind = VERDICT_RETURN },
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

static void build_inbound(struct build *b, struct chain *chain)
{
	const struct plan_direction *in = &b->plan->inbound;
	const struct rule included = {
		.comment = "redirect inbound traffic from port %s to the custom chain for "
			   "processing",
		.each = EACH(EACH_DPORT, in->include_ports),
		.proto = IPPROTO_TCP,
		.verdict = jump_to(in->redirect_chain),
	};
	const struct rule all_others[] = {
		{
			.comment = "exclude inbound traffic from port %s from redirection",
			.each = EACH(EACH_DPORT, in->exclude_ports),
			.proto = IPPROTO_TCP,
			.verdict = { .kind = VERDICT_RETURN },
		},
		{
			.comment = "redirect all inbound traffic to the custom chain for "
				   "processing",
			.proto = IPPROTO_TCP,
			.verdict = jump_to(in->redirect_chain),
		},
	};

	if (!in->enabled) {
		build_disabled(b, chain, "inbound traffic redirection is disabled");
		return;
	}
	build_keep(b, chain);
	build_inbound_exclusions(b, chain);
	if (in->include_ports.n > 0)
		chain_append(b, chain, &included);
	else
		chain_append_all(b, chain, all_others, ELEMENTS(all_others));
}

/* Connections over the loopback interface: Envoy to the application, the application to itself, and
 * the application to itself by way of the mesh (Envoy to Envoy, which has to come in again). */
static void build_outbound_loopback(struct build *b, struct chain *chain)
{
	const struct plan *plan = b->plan;
	uid_t uid = plan->user.uid;
	struct match_iface lo = { .op = OP_IS, .name = plan->loopback };
	struct match_net passthrough = match_passthrough(b);
	struct match_net elsewhere = build_localhost(b, OP_NOT);
	const struct rule rules[] = {
		{
			.comment = arena_printf(b->arena,
						"prevent traffic loops by ensuring traffic from "
						"the sidecar proxy (using %s) to loopback "
						"interface is not redirected again",
						passthrough.text),
			.src = passthrough,
			.oif = lo,
			.verdict = { .kind = VERDICT_RETURN },
		},
		{
			.comment = arena_printf(b->arena,
						"redirect outbound TCP traffic destined for "
						"loopback interface, but not targeting address "
						"%s, and owned by UID %u (kuma-dp user) to %s "
						"chain for proper handling",
						elsewhere.text, uid, plan->inbound.redirect_chain),
			.proto = IPPROTO_TCP,
			.oif = lo,
			.dst = elsewhere,
			.uid = match_uid(OP_IS, uid),
			.verdict = jump_to(plan->inbound.redirect_chain),
		},
		{
			.comment = arena_printf(b->arena,
						"return outbound TCP traffic destined for "
						"loopback interface, owned by any UID other than "
						"%u (kuma-dp user)",
						uid),
			.proto = IPPROTO_TCP,
			.oif = lo,
			.uid = match_uid(OP_NOT, uid),
			.verdict = { .kind = VERDICT_RETURN },
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

static void build_outbound_direct(struct build *b, struct chain *chain)
{
	uid_t uid = b->plan->user.uid;
	struct match_net localhost = build_localhost(b, OP_IS);
	const struct rule rules[] = {
		{
			.comment = arena_printf(b->arena,
						"return outbound traffic owned by UID %u "
						"(kuma-dp user)",
						uid),
			.uid = match_uid(OP_IS, uid),
			.verdict = { .kind = VERDICT_RETURN },
		},
		{
			.comment = arena_printf(b->arena,
						"return traffic destined for localhost (%s) to "
						"avoid redirection",
						localhost.text),
			.dst = localhost,
			.verdict = { .kind = VERDICT_RETURN },
		},
	};

	chain_append_all(b, chain, rules, ELEMENTS(rules));
}

static void build_outbound(struct build *b, struct chain *chain)
{
	const struct plan_direction *out = &b->plan->outbound;
	const struct rule excluded = {
		.comment = "exclude outbound traffic from port %s from redirection",
		.each = EACH(EACH_DPORT, out->exclude_ports),
		.proto = IPPROTO_TCP,
		.verdict = { .kind = VERDICT_RETURN },
	};
	const struct rule included = {
		.comment = "redirect outbound TCP traffic to port %s to our custom chain for "
			   "further processing",
		.each = EACH(EACH_DPORT, out->include_ports),
		.proto = IPPROTO_TCP,
		.verdict = jump_to(out->redirect_chain),
	};
	const struct rule all_others = {
		.comment = "redirect all other outbound traffic to our custom chain for further "
			   "processing",
		.verdict = jump_to(out->redirect_chain),
	};

	if (!out->enabled) {
		build_disabled(b, chain, "outbound traffic redirection is disabled");
		return;
	}
	build_keep(b, chain);
	if (out->include_ports.n == 0)
		chain_append(b, chain, &excluded);
	build_outbound_loopback(b, chain);
	build_outbound_direct(b, chain);
	chain_append(b, chain, out->include_ports.n > 0 ? &included : &all_others);
}

/* At DRAIN nothing leads here, and yet it matters: the REDIRECT target is what keeps conntrack in
 * this network namespace, and with it the translation of connections that are still open. */
static void build_redirect(struct build *b, struct chain *chain, const struct plan_direction *dir)
{
	const struct rule rule = {
		.comment = arena_printf(b->arena, "redirect TCP traffic to envoy (port %u)",
					dir->port),
		.proto = IPPROTO_TCP,
		.verdict = redirect_to(dir->port),
	};

	chain_append(b, chain, &rule);
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
	build_redirect(b, build_chain(b, plan->inbound.redirect_chain, false), &plan->inbound);
	build_redirect(b, build_chain(b, plan->outbound.redirect_chain, false), &plan->outbound);
}
