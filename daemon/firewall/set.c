/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>

#include "common/base/array.h"
#include "daemon/firewall/firewall.h"

#define ELEMENTS_MAX 4096 /* a set with more is not one that somebody wrote down */

struct collection {
	struct arena *arena;
	struct nft_elements elements;
};

static struct nft_payload keep(struct arena *arena, struct nft_payload in)
{
	return (struct nft_payload){ arena_strndup(arena, in.data ? in.data : "", in.len), in.len };
}

static void on_elements(void *userdata, uint8_t family _unused_, struct nft_payload attributes)
{
	struct nft_payload list = nft_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS), item;
	struct collection *c = userdata;

	while (nft_next(&list, &item) && c->elements.n <= ELEMENTS_MAX) {
		struct nft_payload key = nft_attribute(item, NFTA_SET_ELEM_KEY);
		struct nft_payload data = nft_attribute(item, NFTA_SET_ELEM_DATA);
		uint32_t flags = nft_number(item, NFTA_SET_ELEM_FLAGS, 0);

		array_push(
			c->arena, &c->elements,
			(struct nft_element){
				.key = keep(c->arena, nft_attribute(key, NFTA_DATA_VALUE)),
				.verdict = keep(c->arena, nft_attribute(data, NFTA_DATA_VERDICT)),
				.interval_end = flags & NFT_SET_ELEM_INTERVAL_END,
			});
	}
}

int host_firewall_elements(struct arena *arena, int fd, const struct nft_set *set,
			   struct nft_elements *ret)
{
	struct collection c = { .arena = arena };
	int r = nft_dump_set(fd, set, on_elements, &c);

	if (r < 0)
		return r;
	if (arena->failed)
		return -ENOMEM;
	if (c.elements.n > ELEMENTS_MAX)
		return -E2BIG;
	*ret = c.elements;
	return 0;
}

static uint16_t port_of(const struct nft_element *element)
{
	uint16_t port = 0;

	if (element->key.len == sizeof(port))
		memcpy(&port, element->key.data, sizeof(port));
	return ntohs(port);
}

struct filter_range host_firewall_range(const struct nft_elements *elements, size_t n)
{
	uint16_t lo = port_of(&elements->items[n]);
	struct filter_range range = { lo, UINT16_MAX };
	bool intervals = false;

	for (size_t i = 0; i < elements->n; i++) {
		uint16_t end = port_of(&elements->items[i]);

		if (!elements->items[i].interval_end)
			continue;
		intervals = true;
		if (end > lo && end - 1 < range.hi)
			range.hi = (uint16_t)(end - 1);
	}
	return intervals ? range : (struct filter_range){ lo, lo };
}

void host_firewall_compare(struct arena *arena, struct filter_rule *rule,
			   struct filter_ports *ports, uint32_t op, uint16_t port)
{
	struct filter_range range = { 0, UINT16_MAX };
	struct filter_range_list ranges = { 0 };

	if (op == NFT_CMP_EQ || op == NFT_CMP_NEQ)
		range = (struct filter_range){ port, port };
	else if (op == NFT_CMP_LT || op == NFT_CMP_LTE)
		range.hi = op == NFT_CMP_LT && port > 0 ? (uint16_t)(port - 1) : port;
	else
		range.lo = op == NFT_CMP_GT && port < UINT16_MAX ? (uint16_t)(port + 1) : port;
	/* Two comparisons in a row make a range: >= the one and <= the other. */
	if (op == NFT_CMP_LTE && ports->n == 1 && !ports->negated &&
	    ports->items[0].hi == UINT16_MAX) {
		range.lo = ports->items[0].lo;
		*ports = (struct filter_ports){ 0 };
	}
	array_push(arena, &ranges, range);
	host_firewall_ports(rule, ports, &ranges, op == NFT_CMP_NEQ);
}
