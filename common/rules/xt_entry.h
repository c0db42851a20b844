/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where an entry of the xtables ABI (struct ipt_entry, struct ip6t_entry: a head, matches, a
 * target) keeps what, so that one code reads and writes both families.
 */

#include <stddef.h>
#include <stdint.h>

#include <linux/netfilter/x_tables.h>

#include "common/base/ip.h"

struct xt_layout {
	size_t head;    /* its size; the first match is behind it */
	size_t address; /* bytes of one */
	size_t src, dst, src_mask, dst_mask;
	size_t iif, oif, iif_mask, oif_mask;
	size_t proto;           /* uint16_t */
	size_t flags, inverted; /* uint8_t; IPT_INV_* are the same bits as IP6T_INV_* */
	uint8_t proto_flag;     /* without it the kernel does not compare the protocol */
	size_t target_offset, next_offset, counters, comefrom, nfcache;
};

extern const struct xt_layout xt_layouts[FAMILY_COUNT];

uint16_t xt_entry_size(enum family family, const void *entry);
const struct xt_entry_target *xt_entry_target(enum family family, const void *entry);

/* The match behind that one, the first one behind NULL; NULL when there are no more. */
const struct xt_entry_match *xt_entry_match(enum family family, const void *entry,
					    const struct xt_entry_match *previous);

/* Makes equal rules equal bytes: counters zero, nothing that the kernel or libiptc keeps for
 * itself, verdicts and jumps by name (the kernel has numbers under an empty one). */
void xt_entry_normalise(enum family family, void *entry, const char *target_name);
