/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What becomes of a new TCP connection from outside in the host's own packet filter. */

#include "common/plan/facts_firewall.h"

struct filter_packet {
	enum family family;
	uint16_t port;     /* where it arrives */
	uint16_t original; /* where it was sent to */
	bool redirected;
};

/* What one chain says. A rule that asks for more than is known may apply or not. */
struct filter_outcome {
	bool drops;                                /* for certain, unless a rule below applies */
	bool may_accept, may_drop;                 /* a rule before that might apply */
	bool may_accept_by_name, may_drop_by_name; /* and speaks of the port or of redirection */
	const struct filter_rule *by;  /* the rule that names the port and decides, or may */
	const struct filter_rule *end; /* the rule that decides; NULL: the policy */
};

/* Follows the packet through a base chain. */
struct filter_outcome filter_walk(const struct facts_firewall *firewall,
				  const struct filter_chain *base,
				  const struct filter_packet *packet);
