/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The host's own packet filter for what is addressed to this host (hook input), as far as it
 * concerns a new TCP connection from outside: which ports, redirected or not. All else that a rule
 * may ask for is one bit, `partly`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/ip.h"

enum filter_verdict {
	FILTER_CONTINUE,
	FILTER_ACCEPT,
	FILTER_DROP, /* or a refusal */
	FILTER_JUMP, /* comes back */
	FILTER_GOTO,
	FILTER_RETURN,
};

struct filter_range {
	uint16_t lo, hi;
};

struct filter_ports {
	const struct filter_range *items; /* n == 0: any */
	size_t n;
	bool negated;
};

struct filter_rule {
	const char *name;                       /* "rule 3 of chain INPUT (iptables-legacy)" */
	struct filter_ports port;               /* the packet's */
	struct filter_ports original;           /* the one that the client asked for */
	bool redirected_only, redirected_never; /* asks whether the destination was changed */
	bool not_for[FAMILY_COUNT];
	bool never;  /* no new TCP connection from outside: other protocols, states, loopback */
	bool partly; /* asks for more: addresses, interfaces, rates, what is not understood */
	enum filter_verdict verdict;
	size_t target; /* of a jump: which chain */
};

struct filter_chain {
	const char *name; /* "chain INPUT (iptables-legacy)" */
	const char *add;  /* how a rule is put first: "iptables-legacy -I INPUT" */
	bool nft;         /* it takes nft's syntax */
	bool base;        /* the kernel begins here */
	bool drops;       /* policy of a base chain */
	bool family[FAMILY_COUNT];
	struct filter_rule *items;
	size_t n;
};

struct facts_firewall {
	struct filter_chain *items;
	size_t n;
};
