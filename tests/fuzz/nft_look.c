/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the kernel lists of our tables, with some bytes changed, is read, compared and told of within its bounds. */

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/netfilter/nft/compare.h"

struct edit {
	uint16_t at; /* modulo the length */
	uint8_t byte;
} __attribute__((packed));

static struct net net_of(enum family family, uint8_t byte)
{
	return (struct net){
		.text = "network",
		.prefix = { .addr = { .family = family, .bytes = { 10, byte } }, .len = 16 },
	};
}

/* Rules of every kind, and a set of each type. */
static void fill(struct arena *arena, struct plan *plan)
{
	static const struct port_range port = { 53, 60 };

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct plan_family *family = &plan->family[f];

		*family = (struct plan_family){ .enabled = true, .dns = true, .dns_zones = true };
		for (uint8_t i = 0; i < 2; i++) {
			array_push(arena, &family->exclude_inbound, net_of(f, i));
			array_push(arena, &family->exclude_outbound, net_of(f, i));
			array_push(arena, &family->dns_servers, net_of(f, i).prefix.addr);
		}
		array_push(arena, &family->vnets, ((struct vnet){ "docker+", net_of(f, 9) }));
	}
	for (uint16_t i = 1; i <= 2; i++) {
		array_push(arena, &plan->outbound.exclude_ports, (uint16_t)(100 * i));
		array_push(arena, &plan->exclude_uids,
			   ((struct uid_exclusion){ .proto = IPPROTO_UDP,
						    .n_ports = 1,
						    .ports = &port,
						    .ports_text = "ports",
						    .uids_text = "users",
						    .uid_lo = i * 1000U,
						    .uid_hi = i * 1000U }));
	}
}

static void encode(struct arena *arena, struct nft_ruleset *lowered, struct nft_batch *ret)
{
	struct ruleset rules;
	struct plan plan = {
		.user = { .found = true, .uid = KUMA_DP_UID },
		.loopback = "lo",
		.inbound = { true, 15006, .chain = "KUMA_MESH_A", .redirect_chain = "KUMA_MESH_B" },
		.outbound = { true, 15001, .chain = "KUMA_MESH_C",
			      .redirect_chain = "KUMA_MESH_D" },
		.dns_port = 15053,
		.comments = true,
	};

	fill(arena, &plan);
	ruleset_build(arena, &plan, LEVEL_FULL, &rules);
	lower_nft(arena, &rules, lowered);
	encode_nft(lowered, NFT_OWNED, 0, ret);
	assert(!arena->failed && !ret->failed);
}

static void compare(const struct nft_ruleset *rules, const struct nft_look *have,
		    const struct nft_look *want)
{
	struct strbuf text = { 0 };
	struct snapshot_traffic traffic = { 0 };

	for (enum family f = 0; f < FAMILY_COUNT; f++) {
		struct snapshot_table table[TABLE_COUNT] = { 0 };

		nft_seen_differs(f, &have->family[f], &want->family[f], &text);
		nft_snapshot(&rules->family[f], &have->family[f], &want->family[f], table,
			     &traffic);
	}
	assert(!text.failed);
	strbuf_done(&text);
}

/* libmnl has seen to it that messages lie within what was received: their lengths stay. */
static void change(struct strbuf *bytes, const struct nft_batch *batch, const uint8_t *data,
		   size_t size)
{
	for (size_t at = 0; size - at >= sizeof(struct edit); at += sizeof(struct edit)) {
		struct edit edit;

		memcpy(&edit, data + at, sizeof(edit));
		bytes->text[edit.at % bytes->len] = (char)edit.byte;
	}
	for (size_t at = 0; at < batch->bytes.len;) {
		const struct nlmsghdr *message = (const void *)(batch->bytes.text + at);

		memcpy(bytes->text + at, &message->nlmsg_len, sizeof(message->nlmsg_len));
		at += message->nlmsg_len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena once;
	static struct nft_ruleset rules;
	static struct nft_batch batch;
	struct arena arena = { 0 };
	struct nft_batch changed = { 0 };
	struct nft_look have, want;

	if (batch.n == 0)
		encode(&once, &rules, &batch);
	/* Of just this size, for AddressSanitizer to see its end. */
	changed.bytes.len = batch.bytes.len;
	changed.bytes.text = malloc(batch.bytes.len);
	assert(changed.bytes.text);
	memcpy(changed.bytes.text, batch.bytes.text, batch.bytes.len);
	change(&changed.bytes, &batch, data, size);
	nft_look_encoded(&arena, &batch, &want);
	nft_look_encoded(&arena, &changed, &have);
	compare(&rules, &have, &want);
	if (size == 0)
		for (enum family f = 0; f < FAMILY_COUNT; f++)
			assert(nft_seen_equal(&have.family[f], &want.family[f]));
	free(changed.bytes.text);
	arena_done(&arena);
	return 0;
}
