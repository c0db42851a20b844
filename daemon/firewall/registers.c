/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/registers.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>

struct loaded_value *register_at(struct state *s, uint32_t number)
{
	/* The old names stand for four of the small registers each. */
	if (number >= NFT_REG_1 && number <= NFT_REG_4)
		number = NFT_REG32_00 + (number - NFT_REG_1) * 4;
	return &s->registers[number <= NFT_REG32_15 ? number : 0];
}

void register_load(struct state *s, uint32_t number, enum kind kind)
{
	*register_at(s, number) = (struct loaded_value){ kind, UINT32_MAX };
}

void register_on_meta(struct state *s, struct nft_payload data)
{
	uint32_t to = nft_number(data, NFTA_META_DREG, UINT32_MAX);
	enum kind kind = KIND_OTHER;

	if (to == UINT32_MAX)
		return; /* sets something */
	switch (nft_number(data, NFTA_META_KEY, UINT32_MAX)) {
	case NFT_META_NFPROTO:
		kind = KIND_FAMILY;
		break;
	case NFT_META_L4PROTO:
		kind = KIND_PROTOCOL;
		break;
	case NFT_META_IIFNAME:
		kind = KIND_IN_NAME;
		break;
	case NFT_META_IIF:
		kind = KIND_IN_INDEX;
		break;
	default:
		break;
	}
	register_load(s, to, kind);
}

void register_on_payload(struct state *s, struct nft_payload data)
{
	uint32_t base = nft_number(data, NFTA_PAYLOAD_BASE, UINT32_MAX);
	uint32_t offset = nft_number(data, NFTA_PAYLOAD_OFFSET, UINT32_MAX);
	uint32_t len = nft_number(data, NFTA_PAYLOAD_LEN, 0);
	uint32_t to = nft_number(data, NFTA_PAYLOAD_DREG, UINT32_MAX);
	enum kind kind = KIND_OTHER;

	if (to == UINT32_MAX)
		return; /* changes the packet */
	if (base == NFT_PAYLOAD_TRANSPORT_HEADER && offset == 2 && len == 2)
		kind = KIND_PORT;
	else if (base == NFT_PAYLOAD_NETWORK_HEADER && len == 1 &&
		 (offset == 9 || (offset == 6 && s->reader->family == NFPROTO_IPV6)))
		kind = KIND_PROTOCOL;
	register_load(s, to, kind);
}

void register_on_ct(struct state *s, struct nft_payload data)
{
	uint32_t to = nft_number(data, NFTA_CT_DREG, UINT32_MAX);
	struct nft_payload direction = nft_attribute(data, NFTA_CT_DIRECTION);
	bool original = direction.len == 1 && direction.data[0] == IP_CT_DIR_ORIGINAL;
	enum kind kind = KIND_OTHER;

	if (to == UINT32_MAX)
		return;
	switch (nft_number(data, NFTA_CT_KEY, UINT32_MAX)) {
	case NFT_CT_STATE:
		kind = KIND_STATE;
		break;
	case NFT_CT_STATUS:
		kind = KIND_STATUS;
		break;
	case NFT_CT_PROTO_DST:
		kind = original ? KIND_ORIGINAL_PORT : KIND_OTHER;
		break;
	default:
		break;
	}
	register_load(s, to, kind);
}

/* Only masks of states and statuses are followed. */
void register_on_bitwise(struct state *s, struct nft_payload data)
{
	struct loaded_value value =
		*register_at(s, nft_number(data, NFTA_BITWISE_SREG, UINT32_MAX));
	struct nft_payload mask =
		nft_attribute(nft_attribute(data, NFTA_BITWISE_MASK), NFTA_DATA_VALUE);
	struct nft_payload xor
		= nft_attribute(nft_attribute(data, NFTA_BITWISE_XOR), NFTA_DATA_VALUE);
	uint32_t to = nft_number(data, NFTA_BITWISE_DREG, UINT32_MAX);

	if ((value.kind != KIND_STATE && value.kind != KIND_STATUS) || mask.len != 4 ||
	    (xor.data &&host_word(xor) != 0))
		value.kind = KIND_OTHER;
	else
		value.mask = host_word(mask);
	*register_at(s, to) = value;
}
