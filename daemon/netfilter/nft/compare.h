/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the kernel holds, held against what it should hold. The kernel tells more of a rule than it was
 * given: what it was given has to be there. */

#include "common/base/strbuf.h"
#include "daemon/netfilter/netfilter.h"
#include "daemon/netfilter/nft/look.h"

bool nft_seen_equal(const struct nft_seen *have, const struct nft_seen *want);

/* Adds in words what is not so in a family's table; nothing where all is. */
void nft_seen_differs(enum family family, const struct nft_seen *have, const struct nft_seen *want,
		      struct strbuf *out);

/* want is the look of `rules` as they are encoded. */
void nft_snapshot(const struct nft_table *rules, const struct nft_seen *have,
		  const struct nft_seen *want, struct snapshot_table ret[static TABLE_COUNT],
		  struct snapshot_traffic *traffic);
