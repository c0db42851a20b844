/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules as the netlink messages of one nf_tables transaction, as libmnl sends them. Building them
 * needs no socket.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/strbuf.h"
#include "common/rules/lower_nft.h"

/* What a message is about, for a sentence. Texts are those of the rules. */
struct nft_subject {
	enum family family;
	const char *kind; /* "table", "set", "chain" */
	const char *name;
	size_t rule; /* of the chain, from 1; 0: the chain itself */
};

/* Zero is an empty one. */
struct nft_batch {
	struct strbuf bytes; /* the messages */
	size_t end; /* where the one that commits begins: without it the kernel only judges */
	struct arena arena;
	struct nft_subject *items; /* of each message */
	size_t n;
	uint32_t first_seq;
	bool failed;
};

enum nft_owner {
	NFT_UNOWNED,
	NFT_OWNED, /* the tables belong to the socket (Linux 5.12) */
};

/* Adds the transaction that puts the rules in the place of those that are in; where a family has none
 * its table goes. Sequence numbers begin with first_seq, one for each message; an answer is asked of
 * the last one that is not the end. */
void encode_nft(const struct nft_ruleset *rules, enum nft_owner owner, uint32_t first_seq,
		struct nft_batch *ret);

/* The subject of the message with the number, counted from first_seq, in words; "the transaction"
 * where it has none. */
void nft_subject_print(const struct nft_batch *batch, size_t n, struct strbuf *out);

void nft_batch_done(struct nft_batch *batch);
