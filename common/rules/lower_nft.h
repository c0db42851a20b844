/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules as nf_tables wants them: a table of our own for each family, whose base chains stand before
 * and behind the other users of nat, and sets in place of lists. print_nft() and encode_nft() write
 * down what is here and decide nothing.
 */

#include "common/rules/nft_interval.h"
#include "common/rules/ruleset.h"

#define NFT_TABLE "tproxyd"

/* The priorities of what stands before the nat rules of others, at -100, and behind them. */
#define NFT_NAT_FIRST (-101)
#define NFT_NAT_LAST  (-99)

struct nft_set {
	const char *name;
	enum nft_type type;
	struct nft_interval *items; /* ascending, with a gap between each and the next */
	size_t n;
};

/* What a packet can be asked for, in the order in which a rule asks. */
enum nft_field {
	NFT_FIELD_IIF,
	NFT_FIELD_OIF,
	NFT_FIELD_SRC,
	NFT_FIELD_DST,
	NFT_FIELD_PROTO, /* right before what depends on it */
	NFT_FIELD_SPORT,
	NFT_FIELD_DPORT,
	NFT_FIELD_SYN,   /* of FIN, SYN, RST and ACK it has SYN alone */
	NFT_FIELD_LOCAL, /* sent to an address of this host */
	NFT_FIELD_UID,   /* has a socket, which is of that user */
	NFT_FIELD_INVALID,
	NFT_FIELD_ORIG_DST,
	NFT_FIELD_ORIG_DPORT,
	NFT_FIELD_COUNT,
};

struct nft_match {
	enum nft_field field;
	enum op op;                /* OP_NOT: addresses and SYN only */
	const struct nft_set *set; /* else, where there is a value: */
	struct nft_interval value; /* of addresses a prefix, of the protocol its number */
	const char *iface;
	bool iface_prefix; /* any name that begins so */
};

enum nft_action {
	NFT_ACTION_NONE,
	NFT_ACTION_RETURN,
	NFT_ACTION_ACCEPT,
	NFT_ACTION_DROP,
	NFT_ACTION_JUMP,     /* text: chain */
	NFT_ACTION_GOTO,     /* text: chain */
	NFT_ACTION_REDIRECT, /* number: port */
	NFT_ACTION_DNAT,     /* number: port */
	NFT_ACTION_CT_ZONE,  /* number: zone */
	NFT_ACTION_LOG,      /* text: prefix, number: level */
	NFT_ACTION_REJECT,   /* by a reset of TCP */
	NFT_ACTION_COUNT,
};

struct nft_rule {
	struct nft_match *items;
	size_t n;
	bool counter;
	enum nft_action action;
	const char *text;
	uint16_t number;
	bool excludes;       /* leaves alone what a list names */
	const char *comment; /* NULL: none; at most NFT_COMMENT_MAX bytes of UTF-8 without '"' */
};

/* nft takes no longer one back in what it has listed itself. */
#define NFT_COMMENT_MAX 127

struct nft_hook {
	const char *type; /* NULL: no base chain */
	const char *name;
	unsigned number;
	int priority;
};

struct nft_chain {
	const char *name;
	enum table table; /* of the rules that it comes of */
	struct nft_hook hook;
	struct nft_rule *items;
	size_t n;
};

struct nft_table {
	bool leave; /* what the kernel has is left as it is */
	struct {
		struct nft_chain **items;
		size_t n;
	} chains; /* none: no table */
	struct {
		struct nft_set **items;
		size_t n;
	} sets;
};

struct nft_ruleset {
	const char *table; /* their name in each family */
	struct nft_table family[FAMILY_COUNT];
};

/* Builds it from the rules of one level. Failure of the arena shows in arena->failed. */
void lower_nft(struct arena *arena, const struct ruleset *rules, struct nft_ruleset *ret);
