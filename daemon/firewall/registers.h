/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the expressions of a rule of nf_tables have loaded into its registers. For expr.c only. */

#include <string.h>

#include <linux/netfilter/nf_tables.h>

#include "daemon/firewall/firewall.h"

/* What has been loaded into a register, as far as it is understood. */
enum kind {
	KIND_OTHER,
	KIND_FAMILY,
	KIND_PROTOCOL,
	KIND_PORT,
	KIND_ORIGINAL_PORT,
	KIND_STATE,
	KIND_STATUS,
	KIND_IN_NAME,
	KIND_IN_INDEX,
};

struct loaded_value {
	enum kind kind;
	uint32_t mask; /* of states and statuses */
};

/* A rule while its expressions are read one after the other. */
struct state {
	struct nft_rule_reader *reader;
	struct filter_rule rule;
	struct loaded_value registers[NFT_REG32_15 + 1];
};

struct loaded_value *register_at(struct state *s, uint32_t number);
void register_load(struct state *s, uint32_t number, enum kind kind);

/* The expressions that load. */
void register_on_meta(struct state *s, struct nft_payload data);
void register_on_payload(struct state *s, struct nft_payload data);
void register_on_ct(struct state *s, struct nft_payload data);
void register_on_bitwise(struct state *s, struct nft_payload data);

static inline uint32_t host_word(struct nft_payload value)
{
	uint32_t word = 0;

	memcpy(&word, value.data, value.len < sizeof(word) ? value.len : sizeof(word));
	return word;
}
