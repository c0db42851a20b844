/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the messages are together; each of them is judged by the kernel in tests/netns/test_nftables.py. */

#include <stdlib.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "common/rules/encode_nft.h"
#include "tests/unit/rules_plans.h"

struct made {
	struct arena arena;
	struct nft_batch batch;
};

static void make(struct made *m, const struct plan *plan, enum level level, enum nft_owner owner)
{
	struct nft_ruleset lowered;
	struct ruleset rules;

	ruleset_build(&m->arena, plan, level, &rules);
	lower_nft(&m->arena, &rules, &lowered);
	encode_nft(&lowered, owner, 100, &m->batch);
	cr_assert(!m->arena.failed && !m->batch.failed);
}

static void made_done(struct made *m)
{
	nft_batch_done(&m->batch);
	arena_done(&m->arena);
}

/* The n-th message, NULL behind the last; checks the ones before it. */
static const struct nlmsghdr *message_at(const struct nft_batch *batch, size_t n)
{
	const struct nlmsghdr *message = (const void *)batch->bytes.text;
	int left = (int)batch->bytes.len;

	for (; n > 0 && mnl_nlmsg_ok(message, left); n--)
		message = mnl_nlmsg_next(message, &left);
	return mnl_nlmsg_ok(message, left) ? message : NULL;
}

static bool is_before(const struct nlattr *attr, const void *tail)
{
	return mnl_attr_ok(attr, (int)((const char *)tail - (const char *)attr));
}

static const struct nlattr *attribute(const struct nlmsghdr *message, unsigned type)
{
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(message, sizeof(struct nfgenmsg));

	while (is_before(attr, mnl_nlmsg_get_payload_tail(message))) {
		if (mnl_attr_get_type(attr) == type)
			return attr;
		attr = mnl_attr_next(attr);
	}
	return NULL;
}

/* Of a message that is there. */
static const struct nlmsghdr *nth(const struct nft_batch *batch, size_t n)
{
	const struct nlmsghdr *message = message_at(batch, n);

	if (!message)
		abort();
	return message;
}

static unsigned type_of(const struct nlmsghdr *message)
{
	return message->nlmsg_type & 0xff;
}

Test(encode_nft, messages_are_numbered_and_the_last_one_is_answered)
{
	const struct plan plan = plan_default();
	struct made m = { 0 };
	size_t n = 0, answered = 0;

	make(&m, &plan, LEVEL_FULL, NFT_UNOWNED);
	for (const struct nlmsghdr *message; (message = message_at(&m.batch, n)); n++) {
		cr_expect_eq(message->nlmsg_seq, 100 + n);
		if (message->nlmsg_flags & NLM_F_ACK)
			answered = n;
	}
	cr_expect_eq(n, m.batch.n);
	cr_expect_eq(answered, n - 2);
	cr_expect_eq(nth(&m.batch, 0)->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
	cr_expect_eq(nth(&m.batch, n - 1)->nlmsg_type, NFNL_MSG_BATCH_END);
	cr_expect_eq((const char *)message_at(&m.batch, n - 1), m.batch.bytes.text + m.batch.end);
	made_done(&m);
}

Test(encode_nft, both_tables_go_and_come_in_one_batch)
{
	static const unsigned none[] = { NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_NEWTABLE,
					 NFT_MSG_DELTABLE };
	const struct plan plan = plan_default();
	struct made m = { 0 };

	make(&m, &plan, LEVEL_NONE, NFT_OWNED);
	cr_assert_eq(m.batch.n, 2 + ELEMENTS(none));
	for (size_t i = 0; i < ELEMENTS(none); i++) {
		cr_expect_eq(type_of(nth(&m.batch, i + 1)), none[i]);
		cr_expect_null(attribute(nth(&m.batch, i + 1), NFTA_TABLE_FLAGS));
	}
	made_done(&m);
}

Test(encode_nft, the_new_table_is_owned)
{
	const struct plan plan = plan_default();
	struct made m = { 0 };
	const struct nlattr *flags;

	make(&m, &plan, LEVEL_FULL, NFT_OWNED);
	flags = attribute(nth(&m.batch, 3), NFTA_TABLE_FLAGS);
	cr_assert_not_null(flags);
	cr_expect_eq(ntohl(mnl_attr_get_u32(flags)), NFT_TABLE_F_OWNER);
	made_done(&m);
}

Test(encode_nft, elements_are_few_in_a_message_and_none_ends_behind_the_last_port)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	size_t elements = 0, n = 0, messages = 0;
	struct made m = { 0 };

	for (unsigned port = 1; port <= 65535; port += 2)
		array_push(&arena, &plan.outbound.exclude_ports, (uint16_t)port);
	plan.family[FAMILY_V6] = (struct plan_family){ 0 };
	make(&m, &plan, LEVEL_FULL, NFT_UNOWNED);
	for (const struct nlmsghdr *message = message_at(&m.batch, 0); n < m.batch.n;
	     n++, message = (const void *)((const char *)message + message->nlmsg_len)) {
		const struct nlattr *list, *element;
		size_t here = 0;

		if (type_of(message) != NFT_MSG_NEWSETELEM)
			continue;
		list = attribute(message, NFTA_SET_ELEM_LIST_ELEMENTS);
		for (element = mnl_attr_get_payload(list);
		     is_before(element, (const char *)list + list->nla_len);
		     element = mnl_attr_next(element))
			here++;
		cr_expect_leq(here, 400);
		elements += here;
		messages++;
	}
	cr_expect_eq(elements, 2 * 32768 - 1);
	cr_expect_eq(messages, 164);
	made_done(&m);
}

Test(encode_nft, a_message_has_a_name)
{
	static const struct {
		size_t n;
		const char *words;
	} want[] = {
		{ 0, "the transaction" },
		{ 1, "table tproxyd (IPv4)" },
		{ 4, "chain nat_prerouting_append (IPv4)" },
		{ 11, "rule 1 of chain nat_prerouting_append (IPv4)" },
		{ 10000, "the transaction" },
	};
	const struct plan plan = plan_default();
	struct made m = { 0 };

	make(&m, &plan, LEVEL_FULL, NFT_UNOWNED);
	for (size_t i = 0; i < ELEMENTS(want); i++) {
		_strbuf_ struct strbuf got = { 0 };

		nft_subject_print(&m.batch, want[i].n, &got);
		cr_expect_str_eq(strbuf_text(&got), want[i].words);
	}
	made_done(&m);
}
