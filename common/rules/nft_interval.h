/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a set of nf_tables has as elements: intervals of ports, user IDs or addresses of one family.
 * The kernel joins none and refuses what overlaps.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/ip.h"

enum nft_type {
	NFT_TYPE_PORT,
	NFT_TYPE_UID,
	NFT_TYPE_ADDRESS,
	NFT_TYPE_COUNT,
};

/* Both ends belong to it. In network order, nft_type_size() bytes each; the others are zero. */
struct nft_interval {
	uint8_t lo[16], hi[16];
};

/* In bytes. */
size_t nft_type_size(enum nft_type type, enum family family);

struct nft_interval nft_interval_ports(uint16_t lo, uint16_t hi);
struct nft_interval nft_interval_uids(uint32_t lo, uint32_t hi);
struct nft_interval nft_interval_prefix(const struct ip_prefix *prefix);

/* The number at an end of an interval of ports or user IDs. */
uint32_t nft_number(enum nft_type type, const uint8_t end[static 16]);

/* Writes the key after the last one of the interval. Returns false where there is none. */
bool nft_interval_after(const struct nft_interval *interval, size_t size, uint8_t ret[static 16]);

/* The length of the prefix that the interval is; -1: it is none. */
int nft_prefix_length(const struct nft_interval *interval, size_t size);

/* Sorts, and joins what overlaps or touches. Returns how many are left. */
size_t nft_intervals_join(struct nft_interval *items, size_t n, size_t size);
