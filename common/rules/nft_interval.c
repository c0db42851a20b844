/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/nft_interval.h"

#include <stdlib.h>
#include <string.h>

size_t nft_type_size(enum nft_type type, enum family family)
{
	if (type == NFT_TYPE_PORT)
		return 2;
	return type == NFT_TYPE_ADDRESS && family == FAMILY_V6 ? 16 : 4;
}

static void put_number(uint32_t number, size_t size, uint8_t ret[static 16])
{
	for (size_t i = 0; i < size; i++)
		ret[i] = (uint8_t)(number >> 8 * (size - 1 - i));
}

static struct nft_interval interval_of(uint32_t lo, uint32_t hi, size_t size)
{
	struct nft_interval interval = { 0 };

	put_number(lo, size, interval.lo);
	put_number(hi, size, interval.hi);
	return interval;
}

struct nft_interval nft_interval_ports(uint16_t lo, uint16_t hi)
{
	return interval_of(lo, hi, 2);
}

struct nft_interval nft_interval_uids(uint32_t lo, uint32_t hi)
{
	return interval_of(lo, hi, 4);
}

struct nft_interval nft_interval_prefix(const struct ip_prefix *prefix)
{
	struct ip_prefix masked = ip_prefix_masked(prefix);
	size_t size = nft_type_size(NFT_TYPE_ADDRESS, prefix->addr.family);
	struct nft_interval interval = { 0 };

	memcpy(interval.lo, masked.addr.bytes, size);
	memcpy(interval.hi, masked.addr.bytes, size);
	for (size_t bit = prefix->len; bit < size * 8; bit++)
		interval.hi[bit / 8] = (uint8_t)(interval.hi[bit / 8] | 0x80U >> bit % 8);
	return interval;
}

uint32_t nft_number(enum nft_type type, const uint8_t end[static 16])
{
	uint32_t number = 0;

	for (size_t i = 0; i < nft_type_size(type, FAMILY_V4); i++)
		number = number << 8 | end[i];
	return number;
}

bool nft_interval_after(const struct nft_interval *interval, size_t size, uint8_t ret[static 16])
{
	memcpy(ret, interval->hi, 16);
	for (size_t i = size; i > 0; i--)
		if (++ret[i - 1])
			return true;
	return false;
}

int nft_prefix_length(const struct nft_interval *interval, size_t size)
{
	int len = 0;

	while ((size_t)len < size * 8 &&
	       !((interval->lo[len / 8] ^ interval->hi[len / 8]) & 0x80U >> len % 8))
		len++;
	for (size_t bit = (size_t)len; bit < size * 8; bit++) {
		unsigned mask = 0x80U >> bit % 8;

		if (interval->lo[bit / 8] & mask || !(interval->hi[bit / 8] & mask))
			return -1;
	}
	return len;
}

static int compare(const void *a, const void *b)
{
	/* `lo` comes first. */
	return memcmp(a, b, sizeof(struct nft_interval));
}

size_t nft_intervals_join(struct nft_interval *items, size_t n, size_t size)
{
	size_t kept = 0;
	uint8_t after[16];

	if (n == 0)
		return 0;
	qsort(items, n, sizeof(*items), compare);
	for (size_t i = 1; i < n; i++) {
		struct nft_interval *last = &items[kept];

		if (nft_interval_after(last, size, after) && memcmp(items[i].lo, after, 16) > 0)
			items[++kept] = items[i];
		else if (memcmp(items[i].hi, last->hi, 16) > 0)
			memcpy(last->hi, items[i].hi, 16);
	}
	return kept + 1;
}
