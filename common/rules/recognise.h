/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which rules of the built-in chains kumactl has put there, told from the rules alone.
 *
 * Since 2.9 they carry comments, and jumps into its chains speak for themselves. Without comments
 * (older versions, comments.disabled) many are rules that anybody may have written, so a rule is
 * kumactl's only if its exact shape *and* what stands around it say so:
 *
 *   - Nothing is guessed unless chains of its name without comments, or its pair of DNS zones (one
 *     user's requests in zone 1, directly followed by that user's answers in zone 2), are there.
 *   - They tell the user (UID) that kumactl exempts. A DNS rule of exactly this user is its own.
 *   - What names no user has to stand directly behind such a rule (the redirects and the zones of
 *     DNS requests), or to belong to a rule that does (zones of answers: the same server).
 *   - Exclusions (UIDs, then addresses) are its own directly in front of the DNS rules, as it
 *     inserts them in one block; without DNS rules, only when they begin the chain (its LOG aside)
 *     and end at the jump.
 *   - Pairs of virtual networks are its own directly in front of the inserted jump, when they lead
 *     to the port of its outbound chain.
 *   - A LOG rule is its own when PREROUTING and OUTPUT both have one, for every packet, with its
 *     two prefixes and one level.
 *   - DROP of INVALID packets in mangle never is: many firewalls have exactly this rule.
 *
 * All else stays, whatever it looks like.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/rules/rule.h"

#define SHAPE_TEXT 32 /* bytes that hold the name of an interface, or a prefix of LOG */

/* A rule in the kernel as far as it matters here. */
struct shape {
	bool ours;      /* jumps to a chain of ours, or carries our comment */
	bool commented; /* carries our comment */
	bool other;     /* has something that no rule of kumactl's has */
	uint8_t proto;
	char iif[SHAPE_TEXT];
	struct match_net src, dst;
	uint16_t sport, dport; /* 0: any */
	bool multiport;
	bool invalid; /* packets in conntrack's state INVALID */
	struct match_uid uid;
	enum verdict_kind target; /* a jump: to DOCKER_OUTPUT; none: anything else */
	uint16_t number;          /* port, zone or level */
	char prefix[SHAPE_TEXT];  /* of LOG */
	const char *name;         /* behind -j or -g, "" without; lives where the rule was read */
};

/* The name behind -j, in text or in bytes; after the comment. */
void shape_target(struct shape *shape, const char *name);

struct shape_list {
	struct shape *items;
	size_t n;
};

/* What one family's rules tell of the settings that they were made with. */
struct traces {
	bool guess;     /* there is something to go by, and it has no comments */
	bool commented; /* no need to guess */
	bool uid_known;
	uint32_t uid;
	uint16_t ports[4]; /* that its chains redirect to; 0: none */
	bool log;
	uint16_t log_level;
	bool zones, zones_all; /* of DNS requests; to whatever server */
	struct {
		struct ip_addr *items;
		size_t n;
	} servers; /* whose requests have zones */
};

/* To be called for each chain whose name is ours, then once for these built-in chains: OUTPUT of
 * raw, and both chains of nat. */
void traces_learn_chain(struct traces *traces, const struct shape_list *rules);
void traces_learn_builtin(struct traces *traces, struct arena *arena,
			  const struct shape_list *raw_output, const struct shape_list *prerouting,
			  const struct shape_list *output);

/* A built-in chain, and what is told of its rules. */
struct recognised {
	enum table table;
	const char *chain;
	const struct shape_list *rules;
	bool *own; /* is set for what is ours, else left alone */
	/* is set for what kumactl makes and where nothing proves that it has made it: exclusions
	 * without a block, INVALID packets; they stay, and are told of */
	bool *doubt;
};
void recognise(const struct traces *traces, const struct recognised *chain);
