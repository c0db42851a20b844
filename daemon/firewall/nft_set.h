/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The sets and maps of nf_tables that rules look things up in. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"

#define SET_KEY_MAX 64 /* all registers */

/* What lies from lo to hi, byte by byte as it would be in the registers. */
struct set_element {
	unsigned char lo[SET_KEY_MAX], hi[SET_KEY_MAX];
	size_t len;
	bool rest; /* stands for all that no other element does */
	uint32_t verdict;
	const char *chain;
};

struct set {
	uint32_t family;
	const char *table, *name;
	bool known; /* false: its elements cannot be had, or are more than somebody wrote down */
	struct set_element *items;
	size_t n;
};

struct set_list {
	struct arena *arena;
	struct set *items;
	size_t n;
};

/* Asks the kernel for each set once. NULL: no memory. */
const struct set *set_find(struct set_list *sets, uint32_t family, const char *table,
			   const char *name);
