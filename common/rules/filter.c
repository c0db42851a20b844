/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

/*
 * Envoy serves an inbound of the Dataplane with mTLS at the address that is declared. What arrives for
 * another address of this host it passes on as it is, and what is not redirected never meets it. Both
 * are refused here, at once, where safety.strictInbound asks for it. Connections that are open go on.
 */

/* What is refused by the port that it arrives at. */
static void add_direct(struct build *b, struct chain *chain)
{
	RULE(b, chain, "inbounds of the mesh stay open at %s",
	     .each = EACH(EACH_ENDPOINT, b->f->inbounds), .proto = IPPROTO_TCP, .verdict = RETURN);
	RULE(b, chain, "close port %s where the mesh does not cover it",
	     .each = EACH(EACH_DPORT, b->plan->strict_ports), .proto = IPPROTO_TCP,
	     .verdict = REJECT);
}

/* What has been redirected, by the port that the client asked for. */
static void add_redirected(struct build *b, struct chain *chain)
{
	uint16_t port = b->plan->inbound.port;

	RULE(b, chain, "redirected inbounds of the mesh stay open at %s",
	     .each = EACH(EACH_ORIG_ENDPOINT, b->f->inbounds), .proto = IPPROTO_TCP, .dport = port,
	     .verdict = RETURN);
	RULE(b, chain, "close port %s where the mesh does not cover it, redirected",
	     .each = EACH(EACH_ORIG_DPORT, b->plan->strict_ports), .proto = IPPROTO_TCP,
	     .dport = port, .verdict = REJECT);
}

void build_filter(struct build *b)
{
	struct chain *chain;

	if (b->level != LEVEL_FULL || !b->f->strict)
		return;
	RULE(b, build_chain(b, "INPUT", true),
	     "close inbounds at addresses that the mesh does not cover",
	     .position = POSITION_INSERT, .proto = IPPROTO_TCP, .syn = OP_IS,
	     .verdict = JUMP(STRICT_CHAIN));
	chain = build_chain(b, STRICT_CHAIN, false);
	RULE(b, chain, "connections of this host to itself stay open", .iif = b->plan->loopback,
	     .verdict = RETURN);
	if (b->f->enabled)
		add_redirected(b, chain);
	add_direct(b, chain);
}
