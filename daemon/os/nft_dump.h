/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Listings of nf_tables by netlink. For host_*.c only; changes nothing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

/* Attributes, or one attribute's payload; data is NULL where it is absent. */
struct nft_payload {
	const char *data;
	size_t len;
};

/* The first attribute of that type. */
struct nft_payload nft_attribute(struct nft_payload in, uint16_t type);

/* The same as text, "" where it is absent or has no end; as a number, fallback where absent. */
const char *nft_text(struct nft_payload in, uint16_t type);
uint32_t nft_number(struct nft_payload in, uint16_t type, uint32_t fallback);

/* Takes the first attribute of any type off a list. False where the list is at its end. */
bool nft_next(struct nft_payload *list, struct nft_payload *ret);

/* A socket for one listing: what an interrupted one has left over goes with it. Returns the
 * descriptor or a negative errno. */
int nft_open(void) _must_check_;

/* Asks for all chains, then for all rules, of all families. Returns 0 or a negative errno; -EINTR:
 * others have changed the tables meanwhile. */
typedef void nft_message_t(void *userdata, uint8_t family, struct nft_payload attributes);
int nft_dump_rules(int fd, nft_message_t *on_chain, nft_message_t *on_rule, void *userdata)
	_must_check_;

/* The same for the elements of one set. */
struct nft_set {
	uint8_t family;
	const char *table, *name;
};
int nft_dump_set(int fd, const struct nft_set *set, nft_message_t *on_message, void *userdata)
	_must_check_;
