/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The sets and maps of nf_tables that rules look things up in. */

#include "daemon/firewall/draft.h"

#define SET_KEY_MAX 16

struct element {
	unsigned char key[SET_KEY_MAX];
	size_t len;
	bool ends; /* an interval, and is not in it any more */
	bool rest; /* stands for all that no other element does */
	uint32_t verdict;
	const char *chain;
};

struct elements {
	struct element *items;
	size_t n;
};

/* The elements of a set of the rule's table, in the reader's arena; false where they cannot be had, or
 * are too many to have been written down. */
bool set_elements(const struct draft_reader *reader, const char *name, struct elements *ret);

/* A port as it stands in a packet. */
uint16_t set_port(const void *data, size_t len);

/* The ports that the n-th element stands for: where a set has intervals, up to the next end. */
struct filter_range set_range(const struct elements *elements, size_t n);
