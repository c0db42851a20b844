/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/encode_nft.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/base/array.h"
#include "common/base/attr.h"
#include "common/rules/nft_expression.h"

/* Elements of a message: an attribute holds 64 KiB. */
#define ELEMENTS_MAX 400
#define MESSAGE_MAX  32768

_Static_assert(NFT_RULE_MAX < MESSAGE_MAX && ELEMENTS_MAX * 64 < MESSAGE_MAX,
	       "any message fits into the room that is made for it");

/* The kernel's numbers for what nft calls inet_service, uid, ipv4_addr and ipv6_addr mean something
 * to nft alone. */
#define DATATYPE_PORT 13
#define DATATYPE_UID  24
#define DATATYPE_IPV4 7
#define DATATYPE_IPV6 8

struct encoder {
	struct nft_batch *batch;
	const char *table;
	uint32_t first_seq;
	enum family family;
	size_t last; /* where the last message begins */
	_Alignas(struct nlmsghdr) char message[MESSAGE_MAX];
};

static struct nlmsghdr *begin(struct encoder *e, unsigned type, unsigned flags,
			      const struct nft_subject *subject)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(e->message);
	struct nfgenmsg *head;

	message->nlmsg_type = (uint16_t)type;
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	message->nlmsg_seq = e->first_seq + (uint32_t)e->batch->n;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = subject->kind ? (uint8_t)family_domain(e->family) : AF_UNSPEC;
	head->version = NFNETLINK_V0;
	array_push(&e->batch->arena, e->batch, *subject);
	return message;
}

static void end(struct encoder *e, const struct nlmsghdr *message)
{
	e->last = e->batch->bytes.len;
	strbuf_add_len(&e->batch->bytes, e->message,
		       message->nlmsg_len); /* attributes are padded */
}

static struct nlmsghdr *begin_nft(struct encoder *e, unsigned type, unsigned flags,
				  const struct nft_subject *subject)
{
	return begin(e, NFNL_SUBSYS_NFTABLES << 8 | type, flags, subject);
}

/* Begins or ends the transaction. */
static void put_frame(struct encoder *e, unsigned type)
{
	struct nlmsghdr *message = begin(e, type, 0, &(struct nft_subject){ 0 });
	struct nfgenmsg *head;

	head = mnl_nlmsg_get_payload(message);
	head->res_id = htons(NFNL_SUBSYS_NFTABLES);
	end(e, message);
}

static void put_table(struct encoder *e, unsigned type, uint32_t flags)
{
	const struct nft_subject subject = { e->family, "table", e->table, 0 };
	struct nlmsghdr *message =
		begin_nft(e, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0, &subject);

	mnl_attr_put_strz(message, NFTA_TABLE_NAME, e->table);
	if (flags)
		nft_put_be32(message, NFTA_TABLE_FLAGS, flags);
	end(e, message);
}

static void put_chain(struct encoder *e, const struct nft_chain *chain)
{
	const struct nft_subject subject = { e->family, "chain", chain->name, 0 };
	struct nlmsghdr *message = begin_nft(e, NFT_MSG_NEWCHAIN, NLM_F_CREATE, &subject);
	struct nlattr *hook;

	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, e->table);
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, chain->name);
	if (chain->hook.type) {
		hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
		nft_put_be32(message, NFTA_HOOK_HOOKNUM, chain->hook.number);
		nft_put_be32(message, NFTA_HOOK_PRIORITY, (uint32_t)chain->hook.priority);
		mnl_attr_nest_end(message, hook);
		nft_put_be32(message, NFTA_CHAIN_POLICY, NF_ACCEPT);
		mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, chain->hook.type);
	}
	end(e, message);
}

static uint32_t datatype(enum nft_type type, enum family family)
{
	if (type == NFT_TYPE_PORT)
		return DATATYPE_PORT;
	if (type == NFT_TYPE_UID)
		return DATATYPE_UID;
	return family == FAMILY_V4 ? DATATYPE_IPV4 : DATATYPE_IPV6;
}

static void put_set(struct encoder *e, const struct nft_set *set, uint32_t id)
{
	const struct nft_subject subject = { e->family, "set", set->name, 0 };
	struct nlmsghdr *message = begin_nft(e, NFT_MSG_NEWSET, NLM_F_CREATE, &subject);

	mnl_attr_put_strz(message, NFTA_SET_TABLE, e->table);
	mnl_attr_put_strz(message, NFTA_SET_NAME, set->name);
	nft_put_be32(message, NFTA_SET_FLAGS, NFT_SET_INTERVAL);
	nft_put_be32(message, NFTA_SET_KEY_TYPE, datatype(set->type, e->family));
	nft_put_be32(message, NFTA_SET_KEY_LEN, (uint32_t)nft_type_size(set->type, e->family));
	nft_put_be32(message, NFTA_SET_ID, id);
	end(e, message);
}

static void put_element(struct nlmsghdr *message, const uint8_t *key, size_t size, uint32_t flags)
{
	struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	struct nlattr *nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);

	mnl_attr_put(message, NFTA_DATA_VALUE, size, key);
	mnl_attr_nest_end(message, nest);
	if (flags)
		nft_put_be32(message, NFTA_SET_ELEM_FLAGS, flags);
	mnl_attr_nest_end(message, element);
}

/* An interval is two elements, of which the second does not belong to it; none where there is no
 * key after the last one. */
static void put_elements(struct encoder *e, const struct nft_set *set, size_t first, size_t n)
{
	const struct nft_subject subject = { e->family, "set", set->name, 0 };
	struct nlmsghdr *message = begin_nft(e, NFT_MSG_NEWSETELEM, NLM_F_CREATE, &subject);
	size_t size = nft_type_size(set->type, e->family);
	struct nlattr *list;
	uint8_t after[16];

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, e->table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set->name);
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t i = first; i < first + n; i++) {
		put_element(message, set->items[i].lo, size, 0);
		if (nft_interval_after(&set->items[i], size, after))
			put_element(message, after, size, NFT_SET_ELEM_INTERVAL_END);
	}
	mnl_attr_nest_end(message, list);
	end(e, message);
}

static void put_rules(struct encoder *e, const struct nft_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++) {
		const struct nft_subject subject = { e->family, "chain", chain->name, i + 1 };
		struct nlmsghdr *message =
			begin_nft(e, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &subject);

		mnl_attr_put_strz(message, NFTA_RULE_TABLE, e->table);
		mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain->name);
		nft_put_rule(message, e->family, &chain->items[i]);
		end(e, message);
	}
}

static void put_contents(struct encoder *e, const struct nft_table *table)
{
	for (size_t i = 0; i < table->chains.n; i++)
		put_chain(e, table->chains.items[i]);
	for (size_t i = 0; i < table->sets.n; i++) {
		const struct nft_set *set = table->sets.items[i];

		put_set(e, set, (uint32_t)i + 1);
		for (size_t n, at = 0; at < set->n; at += n) {
			n = set->n - at < ELEMENTS_MAX / 2 ? set->n - at : ELEMENTS_MAX / 2;
			put_elements(e, set, at, n);
		}
	}
	for (size_t i = 0; i < table->chains.n; i++)
		put_rules(e, table->chains.items[i]);
}

void encode_nft(const struct nft_ruleset *rules, enum nft_owner owner, uint32_t first_seq,
		struct nft_batch *ret)
{
	_unset_ struct encoder e;
	struct nlmsghdr *last;

	e.batch = ret;
	e.table = rules->table;
	e.first_seq = first_seq;
	ret->first_seq = first_seq;
	put_frame(&e, NFNL_MSG_BATCH_BEGIN);
	for (e.family = 0; e.family < FAMILY_COUNT; e.family++) {
		const struct nft_table *table = &rules->family[e.family];

		if (table->leave)
			continue;
		/* A table can only be deleted where there is one; without flags this takes one that
		 * is owned, too. */
		put_table(&e, NFT_MSG_NEWTABLE, 0);
		put_table(&e, NFT_MSG_DELTABLE, 0);
		if (table->chains.n == 0)
			continue;
		put_table(&e, NFT_MSG_NEWTABLE, owner == NFT_OWNED ? NFT_TABLE_F_OWNER : 0);
		put_contents(&e, table);
	}
	ret->end = ret->bytes.len;
	if (!ret->bytes.failed) {
		last = (struct nlmsghdr *)(void *)(ret->bytes.text + e.last);
		last->nlmsg_flags |= NLM_F_ACK;
	}
	put_frame(&e, NFNL_MSG_BATCH_END);
	ret->failed = ret->bytes.failed || ret->arena.failed;
}

void nft_subject_print(const struct nft_batch *batch, size_t n, struct strbuf *out)
{
	const struct nft_subject *subject = n < batch->n ? &batch->items[n] : NULL;

	if (!subject || !subject->kind) {
		strbuf_add(out, "the transaction");
		return;
	}
	if (subject->rule)
		strbuf_addf(out, "rule %zu of ", subject->rule);
	strbuf_addf(out, "%s %s (%s)", subject->kind, subject->name, family_name(subject->family));
}

void nft_batch_done(struct nft_batch *batch)
{
	strbuf_done(&batch->bytes);
	arena_done(&batch->arena);
	*batch = (struct nft_batch){ 0 };
}
