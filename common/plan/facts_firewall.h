/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The host's own packet filter, as far as it concerns what is redirected: what becomes of a new
 * connection, by the port that the client asked for. */

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
	/* where the client asked for it, and where it is redirected to the inbound port */
	struct filter_outcome direct, redirected;
};

/* A chain in which the kernel begins, asked about one topic. Of tracking FILTER_DROPS stands for "not
 * tracked", and so not redirected; only `direct` counts there. */
struct filter_chain {
	enum filter_topic {
		TRACKING_INBOUND,  /* are new TCP connections to this host tracked */
		TRACKING_OUTBOUND, /* are those from it */
		TRACKING_DNS,      /* are its DNS queries */
		FILTER_INBOUND,    /* are new TCP connections to this host let in */
		FILTER_TOPICS,
	} topic;
	enum family family;        /* one for both is there for each, side by side */
	const char *name;          /* "chain INPUT (iptables-legacy)" */
	const char *add;           /* how a rule is put first: "iptables-legacy -I INPUT" */
	bool nft;                  /* it takes nft's syntax */
	struct filter_step *items; /* from port 1 on */
	size_t n;                  /* the last may end below 65535: there are too many */
};

struct facts_firewall {
	struct filter_chain *items;
	size_t n;
};
