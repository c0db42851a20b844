/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The host's own packet filter for what is addressed to this host (hook input), as far as it
 * concerns a new TCP connection from outside: what becomes of it, by the port that the client asked
 * for, where it arrives there and where it is redirected to the inbound port.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/ip.h"

/* What one chain does, from worse to better. A rule that asks for more than is known may apply or
 * not. */
enum filter_fate {
	FILTER_DROPS,
	FILTER_MAY_ACCEPT, /* else it drops */
	FILTER_MAY_DROP,   /* else it accepts */
	FILTER_ACCEPTS,
};

struct filter_outcome {
	enum filter_fate fate;
	const char *end;  /* "rule 3 of chain INPUT (iptables-legacy)" decides; NULL: the policy */
	const char *rule; /* the same, or the one that may decide otherwise */
};

/* Ports for which all is the same: those above the step before, up to `to`. */
struct filter_step {
	uint16_t to;
	bool named; /* by a rule */
	struct filter_outcome direct, redirected;
};

/* A chain in which the kernel begins. */
struct filter_chain {
	const char *name; /* "chain INPUT (iptables-legacy)" */
	const char *add;  /* how a rule is put first: "iptables-legacy -I INPUT" */
	bool nft;         /* it takes nft's syntax */
	struct filter_steps {
		struct filter_step *items; /* from port 1 on; none where it is not of the family */
		size_t n;                  /* the last may end below 65535: there are too many */
	} family[FAMILY_COUNT];
};

struct facts_firewall {
	struct filter_chain *items;
	size_t n;
};

/* What is not tracked, and so not redirected: new TCP connections to this host and from it, and DNS
 * queries from it, by chains in front of connection tracking. FILTER_DROPS stands for "not tracked",
 * and of a step only `direct` counts. */
struct facts_tracking {
	struct facts_firewall inbound, outbound, dns;
};
