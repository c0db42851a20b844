/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Lists of ports, networks, users and interfaces as messages for nf_tables: intervals are in order and apart,
 * messages and attributes lie within each other. */

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/rules/encode_nft.h"
#include "common/rules/print_nft.h"

struct input {
	const uint8_t *data;
	size_t size;
};

static void take(struct input *in, void *ret, size_t n)
{
	size_t have = n < in->size ? n : in->size;

	memset(ret, 0, n);
	memcpy(ret, in->data, have);
	in->data += have;
	in->size -= have;
}

static uint8_t byte(struct input *in)
{
	uint8_t value;

	take(in, &value, 1);
	return value;
}

static struct net net_of(struct input *in, enum family family)
{
	struct net net = { .text = "network" };

	net.prefix.addr.family = family;
	take(in, net.prefix.addr.bytes, family == FAMILY_V4 ? 4 : 16);
	net.prefix.len = byte(in) % (family == FAMILY_V4 ? 33 : 129);
	return net;
}

static struct uid_exclusion exclusion_of(struct arena *arena, struct input *in)
{
	struct uid_exclusion exclusion = {
		.proto = byte(in) & 1 ? IPPROTO_TCP : IPPROTO_UDP,
		.n_ports = 1 + byte(in) % 3,
		.ports_text = "ports",
		.uids_text = "users",
	};
	struct port_range *ranges = arena_alloc(arena, exclusion.n_ports * sizeof(*ranges));

	for (size_t i = 0; i < exclusion.n_ports; i++) {
		take(in, &ranges[i].lo, 2);
		ranges[i].lo = (uint16_t)(ranges[i].lo ? ranges[i].lo : 1);
		ranges[i].hi = (uint16_t)(ranges[i].lo | byte(in));
	}
	exclusion.ports = ranges;
	take(in, &exclusion.uid_lo, 4);
	exclusion.uid_hi = exclusion.uid_lo | byte(in);
	return exclusion;
}

static void add_one(struct arena *arena, struct input *in, struct plan *plan)
{
	enum family family = byte(in) & 1 ? FAMILY_V6 : FAMILY_V4;
	struct plan_family *f = &plan->family[family];
	char *iface = arena_alloc(arena, 16);
	struct vnet vnet = { .iface = iface };
	uint16_t port;

	switch (byte(in) % 7) {
	case 0:
		take(in, &port, 2);
		array_push(arena, &plan->outbound.exclude_ports, (uint16_t)(port ? port : 1));
		break;
	case 1:
		take(in, &port, 2);
		array_push(arena, &plan->inbound.include_ports, (uint16_t)(port ? port : 1));
		break;
	case 2:
		array_push(arena, &f->exclude_inbound, net_of(in, family));
		break;
	case 3:
		array_push(arena, &f->exclude_outbound, net_of(in, family));
		break;
	case 4:
		array_push(arena, &f->dns_servers, net_of(in, family).prefix.addr);
		break;
	case 5:
		array_push(arena, &plan->exclude_uids, exclusion_of(arena, in));
		break;
	default:
		take(in, iface, 15);
		vnet.net = net_of(in, family);
		array_push(arena, &f->vnets, vnet);
		break;
	}
}

static void check_set(const struct nft_set *set, enum family family)
{
	size_t size = nft_type_size(set->type, family);

	assert(set->n > 0);
	for (size_t i = 0; i < set->n; i++) {
		uint8_t after[16];
		bool more = nft_interval_after(&set->items[i], size, after);

		assert(memcmp(set->items[i].lo, set->items[i].hi, 16) <= 0);
		assert(i + 1 == set->n || (more && memcmp(after, set->items[i + 1].lo, 16) < 0));
		(void)more;
	}
}

static void check_rules(const struct nft_ruleset *rules)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct nft_table *table = &rules->family[family];

		for (size_t i = 0; i < table->sets.n; i++)
			check_set(table->sets.items[i], family);
		for (size_t i = 0; i < table->chains.n; i++)
			for (size_t k = 0; k < table->chains.items[i]->n; k++) {
				const char *comment = table->chains.items[i]->items[k].comment;

				assert(!comment || (strlen(comment) <= NFT_COMMENT_MAX &&
						    !strchr(comment, '"')));
				(void)comment;
			}
	}
}

/* Attributes fill what they are in. */
static void check_attributes(const unsigned char *data, size_t size)
{
	while (size > 0) {
		const struct nlattr *attr = (const void *)data;
		size_t used;

		assert(mnl_attr_ok(attr, (int)size));
		used = (attr->nla_len + 3U) & ~3U;
		assert(used <= size);
		if (attr->nla_type & NLA_F_NESTED)
			check_attributes(data + MNL_ATTR_HDRLEN, attr->nla_len - MNL_ATTR_HDRLEN);
		data += used;
		size -= used;
	}
}

static void check_batch(const struct nft_batch *batch)
{
	const size_t head = MNL_NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	size_t at = 0, n = 0;

	for (; at < batch->bytes.len; n++) {
		const struct nlmsghdr *message = (const void *)(batch->bytes.text + at);

		assert(mnl_nlmsg_ok(message, (int)(batch->bytes.len - at)));
		assert(message->nlmsg_seq == n && message->nlmsg_len <= 65536);
		check_attributes((const unsigned char *)batch->bytes.text + at + head,
				 message->nlmsg_len - head);
		at += message->nlmsg_len;
	}
	assert(at == batch->bytes.len && n == batch->n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct arena arena = { 0 };
	struct nft_ruleset lowered;
	struct nft_batch batch = { 0 };
	struct strbuf text = { 0 };
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

	for (enum family f = 0; f < FAMILY_COUNT; f++)
		plan.family[f] =
			(struct plan_family){ .enabled = true, .dns = true, .dns_zones = true };
	plan.outbound.insert = byte(&in) & 1;
	while (in.size > 0)
		add_one(&arena, &in, &plan);
	ruleset_build(&arena, &plan, LEVEL_FULL, &rules);
	lower_nft(&arena, &rules, &lowered);
	assert(!arena.failed);
	check_rules(&lowered);
	print_nft(&lowered, &text);
	encode_nft(&lowered, NFT_OWNED, 0, &batch);
	assert(!text.failed && !batch.failed);
	check_batch(&batch);
	strbuf_done(&text);
	nft_batch_done(&batch);
	arena_done(&arena);
	return 0;
}
