/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter/nft/look.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/base/array.h"
#include "daemon/os/netlink.h"

#define REQUEST_BYTES 512
/* Of tables, chains, rules, sets and lists of elements. */
#define TABLE_ATTRIBUTE 1

_Static_assert(NFTA_TABLE_NAME == TABLE_ATTRIBUTE && NFTA_CHAIN_TABLE == TABLE_ATTRIBUTE &&
		       NFTA_RULE_TABLE == TABLE_ATTRIBUTE && NFTA_SET_TABLE == TABLE_ATTRIBUTE &&
		       NFTA_SET_ELEM_LIST_TABLE == TABLE_ATTRIBUTE,
	       "one number");

struct reading {
	struct arena *arena;
	struct nft_look *ret;
	bool copy; /* the messages do not stay */
};

static const char *text_of(const struct nlmsghdr *message, unsigned type)
{
	const struct nlattr *a = netlink_attribute(message, type);

	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0 ? mnl_attr_get_str(a) : "";
}

static uint32_t number_of(const struct nlmsghdr *message, unsigned type)
{
	const struct nlattr *a = netlink_attribute(message, type);

	return a && mnl_attr_validate(a, MNL_TYPE_U32) >= 0 ? ntohl(mnl_attr_get_u32(a)) : 0;
}

static void add_element(struct reading *r, struct nft_seen *seen, const char *set,
			const struct nlattr *from)
{
	const struct nlattr *key = netlink_nested(from, NFTA_SET_ELEM_KEY);
	const struct nlattr *value = key ? netlink_nested(key, NFTA_DATA_VALUE) : NULL;
	const struct nlattr *flags = netlink_nested(from, NFTA_SET_ELEM_FLAGS);
	struct nft_element element = { .set = set };
	size_t len = value ? mnl_attr_get_payload_len(value) : 0;

	memcpy(element.key, value ? mnl_attr_get_payload(value) : element.key,
	       len < sizeof(element.key) ? len : sizeof(element.key));
	if (flags && mnl_attr_validate(flags, MNL_TYPE_U32) >= 0)
		element.end = ntohl(mnl_attr_get_u32(flags)) & NFT_SET_ELEM_INTERVAL_END;
	array_push(r->arena, &seen->elements, element);
}

static void add_elements(struct reading *r, struct nft_seen *seen, const struct nlmsghdr *message)
{
	const struct nlattr *list = netlink_attribute(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	const char *set = arena_strdup(r->arena, text_of(message, NFTA_SET_ELEM_LIST_SET));
	const struct nlattr *a = list ? mnl_attr_get_payload(list) : NULL;

	for (; a && netlink_is_in(a, list); a = mnl_attr_next(a))
		add_element(r, seen, set, a);
}

static const struct nlmsghdr *keep(struct reading *r, const struct nlmsghdr *message)
{
	struct nlmsghdr *copy = r->copy ? arena_alloc(r->arena, message->nlmsg_len) : NULL;

	if (!copy)
		return message;
	memcpy(copy, message, message->nlmsg_len);
	return copy;
}

const struct nft_message *nft_message_find(const struct nft_message_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

static void add_message(struct reading *r, struct nft_message_list *list,
			const struct nlmsghdr *message, unsigned name)
{
	struct nft_message one = { .message = keep(r, message) };

	one.name = text_of(one.message, name);
	array_push(r->arena, list, one);
}

/* Once for each name. While others prepare a transaction, the kernel begins each datagram of a list too
 * early: it counts what they have not committed for listed (nf_tables_dump_chains(),
 * net/netfilter/nf_tables_api.c). The list's generation stays the same. */
static void add_once(struct reading *r, struct nft_message_list *list,
		     const struct nlmsghdr *message, unsigned name)
{
	if (!nft_message_find(list, text_of(message, name)))
		add_message(r, list, message, name);
}

static void add(struct reading *r, const struct nlmsghdr *message)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(message);
	struct nft_seen *seen = &r->ret->family[head->nfgen_family == AF_INET6];

	if (strcmp(text_of(message, TABLE_ATTRIBUTE), NFT_TABLE) != 0 ||
	    (head->nfgen_family != AF_INET && head->nfgen_family != AF_INET6))
		return;
	switch (message->nlmsg_type & 0xff) {
	case NFT_MSG_NEWTABLE:
		seen->exists = true;
		seen->owned = number_of(message, NFTA_TABLE_FLAGS) & NFT_TABLE_F_OWNER;
		seen->dormant = number_of(message, NFTA_TABLE_FLAGS) & NFT_TABLE_F_DORMANT;
		seen->owner = number_of(message, NFTA_TABLE_OWNER);
		break;
	case NFT_MSG_NEWCHAIN:
		add_once(r, &seen->chains, message, NFTA_CHAIN_NAME);
		break;
	case NFT_MSG_NEWRULE:
		add_message(r, &seen->rules, message, NFTA_RULE_CHAIN);
		break;
	case NFT_MSG_NEWSET:
		add_once(r, &seen->sets, message, NFTA_SET_NAME);
		break;
	case NFT_MSG_NEWSETELEM:
		add_elements(r, seen, message);
		break;
	case NFT_MSG_DELTABLE:
		*seen = (struct nft_seen){ 0 };
		break;
	default:
		break;
	}
}

static int on_message(const struct nlmsghdr *message, void *userdata)
{
	struct reading *r = userdata;

	add(r, message);
	return r->arena->failed ? MNL_CB_ERROR : MNL_CB_OK;
}

/* Lists what is of the table; set is NULL, or whose elements are wanted. */
static int list(struct reading *r, unsigned what, enum family family, const char *set)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *head = mnl_nlmsg_put_extra_header(request, sizeof(*head));

	request->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what);
	request->nlmsg_flags = NLM_F_DUMP;
	head->nfgen_family = (uint8_t)family_domain(family);
	if (what != NFT_MSG_GETTABLE)
		mnl_attr_put_strz(request, TABLE_ATTRIBUTE, NFT_TABLE);
	if (set)
		mnl_attr_put_strz(request, NFTA_SET_ELEM_LIST_SET, set);
	return netlink_ask(NETLINK_NETFILTER, request, on_message, r);
}

static int compare_elements(const void *a, const void *b)
{
	const struct nft_element *x = a, *y = b;
	int r = strcmp(x->set, y->set);

	if (r == 0)
		r = memcmp(x->key, y->key, sizeof(x->key));
	return r != 0 ? r : x->end - y->end;
}

static void sort_elements(struct nft_look *look)
{
	for (enum family f = 0; f < FAMILY_COUNT; f++)
		if (look->family[f].elements.n > 0)
			qsort(look->family[f].elements.items, look->family[f].elements.n,
			      sizeof(struct nft_element), compare_elements);
}

static int read_family(struct reading *r, enum family family)
{
	static const unsigned parts[] = { NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET };
	const struct nft_seen *seen = &r->ret->family[family];
	int result = list(r, NFT_MSG_GETTABLE, family, NULL);

	for (size_t i = 0; i < ELEMENTS(parts) && result == 0 && seen->exists; i++)
		result = list(r, parts[i], family, NULL);
	for (size_t i = 0; i < seen->sets.n && result == 0; i++)
		result = list(r, NFT_MSG_GETSETELEM, family, seen->sets.items[i].name);
	return result;
}

static int on_generation(const struct nlmsghdr *message, void *userdata)
{
	*(uint32_t *)userdata = number_of(message, NFTA_GEN_ID);
	return MNL_CB_STOP;
}

int nft_generation(uint32_t *ret)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	int r;

	request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN;
	(void)mnl_nlmsg_put_extra_header(request, sizeof(struct nfgenmsg));
	r = netlink_ask(NETLINK_NETFILTER, request, on_generation, ret);
	return r == NETLINK_LOST ? -EIO : r;
}

/* -EINTR: others have changed something meanwhile. */
static int read_all(struct reading *r)
{
	uint32_t after = 0;
	int result;

	*r->ret = (struct nft_look){ 0 };
	result = nft_generation(&r->ret->generation);
	for (enum family f = 0; f < FAMILY_COUNT && result == 0; f++)
		result = read_family(r, f);
	if (result == 0)
		result = nft_generation(&after);
	if (result == -ENOENT || (result == 0 && r->ret->generation != after))
		return -EINTR;
	return result == NETLINK_LOST ? -EIO : result;
}

int nft_look(struct arena *arena, struct nft_look *ret, struct error *err)
{
	struct reading reading = { .arena = arena, .ret = ret, .copy = true };
	int r = -EINTR;

	for (int i = 0; i < NETLINK_TRIES && r == -EINTR; i++)
		r = read_all(&reading);
	if (netlink_nft_is_absent(r)) {
		*ret = (struct nft_look){ 0 };
		return 0;
	}
	if (r == 0 && arena->failed)
		r = -ENOMEM;
	if (r == -EINTR)
		return error_set(err, r, "others keep changing nf_tables while it is read");
	if (r < 0)
		return error_sys(err, r, "read nf_tables");
	sort_elements(ret);
	return 0;
}

void nft_look_encoded(struct arena *arena, const struct nft_batch *batch, struct nft_look *ret)
{
	struct reading reading = { .arena = arena, .ret = ret };
	const struct nlmsghdr *message = (const void *)batch->bytes.text;
	int left = (int)batch->bytes.len;

	*ret = (struct nft_look){ 0 };
	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
		if (message->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)
			add(&reading, message);
	sort_elements(ret);
}
