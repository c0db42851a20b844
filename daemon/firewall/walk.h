/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * New connections followed through the host's chains, one packet after the other. Each question about
 * a port tells as well up to which one the answer is the same, so that few packets stand for all.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "common/base/arena.h"
#include "common/plan/facts_firewall.h"

enum answer {
	NO,
	MAYBE, /* it depends on what is not known */
	YES,
};

static inline enum answer answer_of(bool is, bool negated)
{
	return is != negated ? YES : NO;
}

static inline enum answer answer_unless(enum answer answer, bool negated)
{
	return negated ? YES - answer : answer;
}

static inline enum answer answer_both(enum answer a, enum answer b)
{
	return a < b ? a : b;
}

struct packet {
	enum family family;
	uint8_t proto;
	bool tracking;      /* whether it is tracked is asked, not whether it is let in */
	bool redirected;    /* its destination was changed */
	uint16_t port;      /* where it arrives */
	uint16_t asked;     /* the port that the client asked for; another one only if redirected */
	uint16_t until;     /* up to this one it makes no difference which port was asked for */
	bool named;         /* a rule speaks of that port */
	unsigned rules;     /* have been asked */
	const char *end;    /* the rule that has decided */
	const char *may[2]; /* the first rules before that may: NF_DROP, NF_ACCEPT */
};

struct host_rule {
	const void *raw;
	uint64_t number;  /* its place in the chain, from 1; nf_tables' handle */
	const char *name; /* made when it is needed */
};

struct host_chain {
	uint32_t nfproto; /* NFPROTO_IPV4, _IPV6, _INET; no other is walked */
	const char *table, *name;
	const char *hook; /* where the kernel begins with it, as iptables' chain there is called */
	int policy;
	bool iptables;           /* whose rules have no handles */
	const char *title, *add; /* as in struct filter_chain */
	struct host_rule *items;
	size_t n;
};

/* A rule that is asked about a packet. */
struct asking {
	const struct host_chains *chains;
	const struct host_chain *chain;
	struct host_rule *rule;
	struct packet *packet;
	enum answer reached; /* the packet comes to the chain */
	unsigned depth;      /* of jumps */
	enum answer applies;
	int verdict;            /* NFT_CONTINUE: the next rule is asked */
	struct word *registers; /* of nf_tables */
};

struct host_chains {
	struct arena *arena;
	uint16_t inbound_port;
	struct host_chain *items;
	size_t n;
	/* Asks one rule: what it asks for by what is below, then rule_says(). */
	void (*judge)(struct asking *a);
	void *userdata; /* of judge */
};

/* The rule does that to the packet if it applies: a verdict of the kernel (NF_ACCEPT, NFT_JUMP...),
 * or that of notrack. A target by the name of its chain. */
#define VERDICT_UNTRACK (NFT_RETURN - 1)
void rule_says(struct asking *a, int verdict, const char *target);

static inline void rule_asks(struct asking *a, enum answer answer)
{
	a->applies = answer_both(a->applies, answer);
}

/* Whether a port of the packet is one of these. */
enum port {
	PORT_NONE,
	PORT_CLIENT, /* any; where tracking is asked about, one that is not privileged */
	PORT_REACHED,
	PORT_ASKED,
};
enum answer ask_port(struct packet *packet, enum port which, uint16_t lo, uint16_t hi);

/* A match of xtables, by its name, revision and bytes, which do not depend on the family. */
enum answer ask_match(struct packet *packet, const char *name, unsigned revision, const void *data);

/* A target of xtables: NFT_JUMP for chains, and for those that decide nothing. */
int target_verdict(const char *name, const void *data);

/* A rule of nf_tables; the userdata is a struct nft_sets. */
struct nft_sets {
	struct nft_set *items;
	size_t n;
};
void nft_rule_judge(struct asking *a);

/* NULL: there is no such chain in the table. */
struct host_chain *chain_find(const struct host_chains *chains, uint32_t nfproto, const char *table,
			      const char *name);

/* Fills title, add and iptables: the backend that iptables keeps the chain by, or NULL. */
void chain_describe(struct arena *arena, struct host_chain *chain, const char *backend);

/* Adds what the chains say of all ports. */
void chains_walk(const struct host_chains *chains, struct facts_firewall *ret);

/* A part of host_firewall(). */
void host_firewall_legacy(struct arena *arena, uint16_t inbound_port, struct facts_firewall *ret);
