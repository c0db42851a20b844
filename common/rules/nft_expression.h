/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For encode_nft.c and nft_expression.c only: a rule's expressions as attributes of its message. */

#include <libmnl/libmnl.h>

#include "common/rules/lower_nft.h"

/* No rule needs more: there are NFT_FIELD_COUNT fields and a name or comment is at most 128 bytes. */
#define NFT_RULE_MAX 8192

void nft_put_rule(struct nlmsghdr *message, enum family family, const struct nft_rule *rule);

void nft_put_be32(struct nlmsghdr *message, unsigned attribute, uint32_t value);
