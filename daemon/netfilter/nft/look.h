/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A table of ours as messages: as the kernel lists it, or as encode_nft() would make it. It is read
 * whole, in one generation of nf_tables.
 */

#include <libmnl/libmnl.h>

#include "common/rules/encode_nft.h"

struct nft_message {
	const struct nlmsghdr *message;
	const char *name; /* the chain's, the set's; of a rule its chain's */
};

struct nft_message_list {
	struct nft_message *items;
	size_t n;
};

/* The first of that name; NULL: there is none. */
const struct nft_message *nft_message_find(const struct nft_message_list *list, const char *name);

struct nft_element {
	const char *set;
	uint8_t key[16];
	bool end; /* the first key behind an interval */
};

struct nft_seen {
	bool exists, owned, dormant; /* dormant: no packet comes to its chains */
	uint32_t owner;              /* the address of a socket */
	struct nft_message_list chains, rules, sets;
	struct {
		struct nft_element *items; /* sorted */
		size_t n;
	} elements;
};

struct nft_look {
	uint32_t generation; /* the number of the last transaction */
	struct nft_seen family[FAMILY_COUNT];
};

/* Reads them; without nf_tables there are none. */
int nft_look(struct arena *arena, struct nft_look *ret, struct error *err) _must_check_;

/* What a transaction makes of them. The batch has to stay. */
void nft_look_encoded(struct arena *arena, const struct nft_batch *batch, struct nft_look *ret);

/* The number of the last transaction. */
int nft_generation(uint32_t *ret) _must_check_;
