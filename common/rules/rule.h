/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A netfilter rule as a value. Zero means "any", so that each rule states only what it cares about.
 * Lists stay lists: a rule may stand for one rule per element (`each`), which iptables gets
 * expanded and a set-based backend can use as it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/plan/plan.h"
#include "common/rules/marks.h"

enum table {
	TABLE_RAW,
	TABLE_NAT,
	TABLE_MANGLE,
	TABLE_FILTER,
	TABLE_COUNT,
};

enum op {
	OP_ANY,
	OP_IS,
	OP_NOT,
};

struct match_net {
	enum op op;
	struct ip_prefix net;
	const char *text; /* as printed */
};

struct match_uid {
	enum op op;
	uint32_t lo, hi;
	const char *text; /* NULL: printed from lo and hi */
};

struct match_multiport { /* destination ports */
	const struct port_range *ranges;
	size_t n; /* 0: any */
	const char *text;
};

enum verdict_kind {
	VERDICT_NONE,
	VERDICT_RETURN,
	VERDICT_DROP,
	VERDICT_JUMP,     /* chain */
	VERDICT_REDIRECT, /* port */
	VERDICT_CT_ZONE,  /* zone */
	VERDICT_LOG,      /* prefix, level */
	VERDICT_DNAT,     /* port; the address stays */
	VERDICT_REJECT,   /* by a reset of TCP */
	VERDICT_COUNT,
};

struct verdict {
	enum verdict_kind kind;
	const char *text; /* chain or log prefix */
	uint16_t number;  /* port, zone or level */
};

/* What stands behind -j for each kind; NULL for a jump, where it is the chain. */
extern const char *const verdict_names[VERDICT_COUNT];
const char *verdict_target(const struct verdict *verdict);

/* A list that a rule (or several in a row that name the same list: one loop over all of them)
 * stands for. The element is put where the kind says. */
enum each_kind {
	EACH_NONE,
	EACH_DPORT,               /* ports */
	EACH_ORIG_DPORT,          /* ports */
	EACH_ENDPOINT,            /* endpoints: dst, dport */
	EACH_ORIG_ENDPOINT,       /* endpoints: orig_dst, orig_dport */
	EACH_SRC,                 /* nets */
	EACH_DST,                 /* nets */
	EACH_SRC_SERVER,          /* addresses (printed without length) */
	EACH_DST_SERVER,          /* addresses */
	EACH_SRC_LOOPBACK_SERVER, /* addresses; only those that are loopback give a rule */
	EACH_UID,                 /* uid_exclusion: proto, multiport, uid */
	EACH_VNET_IIF,            /* vnet: iif */
	EACH_VNET_IIF_NOT_DST,    /* vnet: iif, dst not in net; a second "%s" is the net */
};

struct each {
	enum each_kind kind;
	union {
		const void *items;
		const uint16_t *ports;
		const struct endpoint *endpoints;
		const struct net *nets;
		const struct ip_addr *addresses;
		const struct uid_exclusion *exclusions;
		const struct vnet *vnets;
	};
	size_t n;
};

enum position {
	POSITION_APPEND, /* after what is there */
	POSITION_INSERT, /* before what is there; several in the order they are stated */
};

struct rule {
	enum position position; /* in built-in chains */
	/* without the common prefix; "%s" is the element of `each`, NULL: none */
	const char *comment;
	uint8_t proto;         /* IPPROTO_*, 0: any */
	bool udp_match;        /* print the explicit "-m udp" in front of -p */
	const char *iif, *oif; /* a trailing "+" stands for any suffix; NULL: any */
	struct match_net src, dst;
	uint16_t sport, dport; /* 0: any */
	/* what the client asked for, whatever the destination was changed to */
	struct match_net orig_dst; /* one address */
	uint16_t orig_dport;
	bool local_dst; /* an address of this host */
	struct match_multiport multiport;
	struct match_uid uid;
	bool ctstate_invalid;
	enum op syn; /* TCP with SYN alone, or any other: --syn */
	struct verdict verdict;
	struct each each;
	bool listed; /* written by rule_at(): stands for one element of a list */
};

/* Writes the n-th rule that `rule` stands for (n < rule_count()) with the comment complete in the
 * caller's buffer, which ret's texts may point into. Returns false where the element gives no rule. */
#define COMMENT_MAX 256
struct rule_text {
	char comment[COMMENT_MAX]; /* with prefix, cut to 254 bytes; "" for none */
	char element[IP_TEXT_MAX]; /* text of an element that had to be printed */
};
size_t rule_count(const struct rule *rule);
bool rule_at(const struct rule *rule, size_t n, struct rule *ret, struct rule_text *text);
