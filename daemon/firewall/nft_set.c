/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/firewall/nft_set.h"

#include <string.h>

#include <linux/netfilter/nf_tables.h>

#include <libnftnl/set.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "daemon/os/netlink.h"

#define ELEMENTS_MAX 4096

DEFINE_CLEANUP(struct nftnl_set *, nftnl_set_free, NULL);
DEFINE_CLEANUP(struct nftnl_set_elems_iter *, nftnl_set_elems_iter_destroy, NULL);

static void copy_key(struct nftnl_set_elem *e, uint16_t which, unsigned char *to, size_t *len)
{
	uint32_t n = 0;
	const void *key = nftnl_set_elem_get(e, which, &n);

	*len = key && n <= SET_KEY_MAX ? n : 0;
	memcpy(to, key ? key : "", *len);
}

static struct set_element read_element(struct arena *arena, struct nftnl_set_elem *e,
				       uint32_t flags)
{
	struct set_element element = { .rest = flags & NFT_SET_ELEM_CATCHALL,
				       .verdict = (uint32_t)NFT_CONTINUE };
	size_t len;

	copy_key(e, NFTNL_SET_ELEM_KEY, element.lo, &element.len);
	memcpy(element.hi, element.lo, sizeof(element.hi));
	/* What is not there must not be asked for. */
	if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_KEY_END))
		copy_key(e, NFTNL_SET_ELEM_KEY_END, element.hi, &len);
	if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_VERDICT))
		element.verdict = nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_VERDICT);
	if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_CHAIN))
		element.chain =
			arena_strdup(arena, nftnl_set_elem_get_str(e, NFTNL_SET_ELEM_CHAIN));
	return element;
}

/* Elements of a set of intervals reach up to the next end, which is not in them any more. */
static void end_interval(struct set_element *element, const struct set *ends)
{
	size_t i;

	memset(element->hi, 0xff, element->len);
	for (i = 0; i < ends->n; i++)
		if (memcmp(ends->items[i].lo, element->lo, element->len) > 0 &&
		    memcmp(ends->items[i].lo, element->hi, element->len) < 0)
			memcpy(element->hi, ends->items[i].lo, element->len);
	if (element->hi[0] == 0xff && memchr(element->hi, 0, element->len) == NULL)
		return;
	for (i = element->len; i > 0 && element->hi[i - 1]-- == 0; i--)
		;
}

static bool read_elements(struct arena *arena, struct set *set)
{
	_cleanup_(nftnl_set_elems_iter_destroyp) struct nftnl_set_elems_iter *iter = NULL;
	_cleanup_(nftnl_set_freep) struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_set_elem *e;
	struct set ends = { 0 };

	if (!s || nftnl_set_set_str(s, NFTNL_SET_TABLE, set->table) < 0 ||
	    nftnl_set_set_str(s, NFTNL_SET_NAME, set->name) < 0)
		return false;
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, set->family);
	if (netlink_fill_nft_set(s) != 0)
		return false;
	iter = nftnl_set_elems_iter_create(s);
	while (iter && set->n <= ELEMENTS_MAX && (e = nftnl_set_elems_iter_next(iter))) {
		uint32_t flags = nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_FLAGS)
					 ? nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_FLAGS)
					 : 0;

		array_push(arena, flags & NFT_SET_ELEM_INTERVAL_END ? &ends : set,
			   read_element(arena, e, flags));
	}
	for (size_t i = 0; i < set->n && ends.n > 0; i++)
		end_interval(&set->items[i], &ends);
	for (size_t i = 0; i < set->n; i++) {
		struct set_element *last = &set->items[set->n - 1], element = set->items[i];

		if (element.rest) {
			set->items[i] = *last;
			*last = element;
		}
	}
	return iter && set->n <= ELEMENTS_MAX && !arena->failed;
}

const struct set *set_find(struct set_list *sets, uint32_t family, const char *table,
			   const char *name)
{
	struct set set = { .family = family };

	for (size_t i = 0; i < sets->n; i++)
		if (sets->items[i].family == family && strcmp(sets->items[i].table, table) == 0 &&
		    strcmp(sets->items[i].name, name) == 0)
			return &sets->items[i];
	set.table = arena_strdup(sets->arena, table);
	set.name = arena_strdup(sets->arena, name);
	if (sets->arena->failed)
		return NULL;
	set.known = read_elements(sets->arena, &set);
	array_push(sets->arena, sets, set);
	return sets->arena->failed ? NULL : &sets->items[sets->n - 1];
}
