/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * New TCP connections from outside, followed through the host's chains. Rules are asked about one
 * packet after the other. Each question about its port tells as well for which other ports the answer
 * is the same, so that few packets stand for all.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/plan/facts_firewall.h"

struct packet {
	enum family family;
	uint8_t proto;
	bool tracking;   /* whether it is tracked is asked, not whether it is let in */
	bool redirected; /* its destination was changed */
	uint16_t port;   /* where it arrives */
	uint16_t asked;  /* the port that the client asked for; another one only if redirected */
	uint16_t until;  /* up to this one it makes no difference which port was asked for */
	bool named;      /* a rule speaks of that port */
};

struct rule {
	const void *raw;
	uint64_t number;  /* its place in the chain, from 1; nf_tables' handle */
	const char *name; /* made when it is needed */
};

struct chain {
	uint32_t nft_family; /* 0: not of nf_tables */
	const char *table, *name;
	const char *tool; /* that keeps its rules there; NULL: it may be anything's */
	enum hook {
		HOOK_NONE,
		HOOK_INPUT,
		HOOK_UNTRACKED_IN, /* in front of connection tracking */
		HOOK_UNTRACKED_OUT,
	} hook;     /* the kernel begins here */
	bool drops; /* its policy */
	bool family[FAMILY_COUNT];
	struct rule *items;
	size_t n;
};

enum verdict {
	VERDICT_CONTINUE,
	VERDICT_ACCEPT,
	VERDICT_DROP, /* or a refusal */
	VERDICT_UNTRACK,
	VERDICT_JUMP, /* comes back */
	VERDICT_GOTO,
	VERDICT_RETURN,
};

/* How it goes on behind a rule. */
enum course {
	COURSE_NEXT,
	COURSE_RETURN, /* to the chain before */
	COURSE_END,
};

/* A rule that is asked about a packet. */
struct asking {
	struct walk *walk;
	void *userdata; /* of the chains */
	const struct chain *chain;
	struct rule *rule;
	struct packet *packet;
	bool refused; /* does not apply */
	bool maybe;   /* asks for more than is known */
};

struct chain_list {
	struct chain *items;
	size_t n;
	/* Asks one rule: what it asks for by what is below, then rule_says(). */
	enum course (*judge)(struct asking *a);
	void *userdata;
};

static inline void rule_asks(struct asking *a, bool so)
{
	a->refused |= !so;
}

/* Whether a port of the packet (the one that the client asked for, or that it arrives at) is one of
 * these. */
bool packet_port(struct packet *packet, bool asked, uint16_t lo, uint16_t hi);

/* What the rule does with the packet if it applies; a target by the name of its chain. */
enum course rule_says(struct asking *a, enum verdict verdict, const char *target);

/* NULL: there is no such chain in the table. */
const struct chain *chain_find(const struct chain_list *chains, uint32_t nft_family,
			       const char *table, const char *name);

/* What is gathered, and for which inbound port. */
struct findings {
	uint16_t inbound_port;
	struct facts_firewall firewall;
	struct facts_tracking tracking;
};

/* What the chains say of all ports, as facts. */
void chains_walk(struct arena *arena, const struct chain_list *chains, struct findings *ret);

/* A match of xtables, by its name, revision and bytes, which do not depend on the family. */
void rule_asks_xt(struct asking *a, const char *name, unsigned revision, const void *data,
		  size_t len);

/* What a target of xtables that is no verdict does with the packet. */
enum verdict xt_target_verdict(const char *name, const void *data, size_t len);

/* The same for a rule of nf_tables; its userdata is a struct set_list. */
enum course nft_rule_judge(struct asking *a);

/* A part of host_firewall(). */
void host_firewall_nft(struct arena *arena, struct findings *ret);
