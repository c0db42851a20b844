/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/set.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>

#include <libnftnl/set.h>

#include "common/base/cleanup.h"
#include "daemon/os/netlink.h"

#define ELEMENTS_MAX 4096 /* a set with more is not one that somebody wrote down */

uint16_t set_port(const void *data, size_t len)
{
	uint16_t port = 0;

	memcpy(&port, data, len < sizeof(port) ? len : sizeof(port));
	return ntohs(port);
}

static struct element read_element(struct arena *arena, struct nftnl_set_elem *e)
{
	uint32_t len = 0, flags = 0;
	const void *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);
	const char *chain = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_CHAIN)
				    ? nftnl_set_elem_get_str(e, NFTNL_SET_ELEM_CHAIN)
				    : NULL;
	struct element element = { .len = key && len <= SET_KEY_MAX ? len : 0 };

	memcpy(element.key, key ? key : "", element.len);
	/* What is not there must not be asked for. */
	if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_FLAGS))
		flags = nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_FLAGS);
	element.ends = flags & NFT_SET_ELEM_INTERVAL_END;
	element.rest = flags & NFT_SET_ELEM_CATCHALL;
	element.verdict = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_VERDICT)
				  ? nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_VERDICT)
				  : (uint32_t)NFT_CONTINUE;
	element.chain = chain ? arena_strdup(arena, chain) : NULL;
	return element;
}

DEFINE_CLEANUP(struct nftnl_set *, nftnl_set_free, NULL);
DEFINE_CLEANUP(struct nftnl_set_elems_iter *, nftnl_set_elems_iter_destroy, NULL);

bool set_elements(const struct draft_reader *reader, const char *name, struct elements *ret)
{
	_cleanup_(nftnl_set_elems_iter_destroyp) struct nftnl_set_elems_iter *iter = NULL;
	_cleanup_(nftnl_set_freep) struct nftnl_set *set = nftnl_set_alloc();
	struct nftnl_set_elem *e;

	if (!set || nftnl_set_set_str(set, NFTNL_SET_TABLE, reader->table) < 0 ||
	    nftnl_set_set_str(set, NFTNL_SET_NAME, name) < 0)
		return false;
	nftnl_set_set_u32(set, NFTNL_SET_FAMILY, reader->family);
	if (netlink_fill_nft_set(set) != 0)
		return false;
	iter = nftnl_set_elems_iter_create(set);
	while (iter && ret->n <= ELEMENTS_MAX && (e = nftnl_set_elems_iter_next(iter)))
		array_push(reader->arena, ret, read_element(reader->arena, e));
	return iter && ret->n <= ELEMENTS_MAX && !reader->arena->failed;
}

struct filter_range set_range(const struct elements *elements, size_t n)
{
	uint16_t lo = set_port(elements->items[n].key, elements->items[n].len);
	struct filter_range range = { lo, UINT16_MAX };
	bool intervals = false;

	for (size_t i = 0; i < elements->n; i++) {
		uint16_t end = set_port(elements->items[i].key, elements->items[i].len);

		intervals |= elements->items[i].ends;
		if (elements->items[i].ends && end > lo && end - 1 < range.hi)
			range.hi = (uint16_t)(end - 1);
	}
	return intervals ? range : (struct filter_range){ lo, lo };
}
