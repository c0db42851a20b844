/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netfilter_xt.h"

#include <netinet/in.h>
#include <string.h>

#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_owner.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "common/base/cleanup.h"

bool xt_name_recognised(const char *chain)
{
	return strncmp(chain, KUMA_MESH_PREFIX, strlen(KUMA_MESH_PREFIX)) == 0;
}

bool xt_comment_recognised(const struct xt_family *f, const void *entry)
{
	const struct xt_entry_match *m = NULL;

	while ((m = xt_match(f, entry, m))) {
		const struct xt_comment_info *info = (const void *)m->data;

		if (strcmp(m->u.user.name, "comment") == 0 &&
		    strncmp(info->comment, COMMENT_PREFIX, strlen(COMMENT_PREFIX)) == 0)
			return true;
	}
	return false;
}

static size_t count_comments(const struct xt_family *f, const struct xt_chain *chain)
{
	size_t n = 0;

	for (size_t i = 0; i < chain->n; i++)
		n += xt_comment_recognised(f, chain->items[i].entry);
	return n;
}

static bool item_is_chain(const struct record_item *item, const struct xt_table *table,
			  const char *chain)
{
	return !item->is_rule && item->family == table->family && item->table == table->table &&
	       strcmp(item->chain, chain) == 0;
}

bool xt_claims_name(const struct xt_claims *claims, const struct xt_table *table, const char *chain)
{
	for (size_t i = 0; i < claims->record->n; i++)
		if (item_is_chain(&claims->record->items[i], table, chain))
			return true;
	return false;
}

/* The record alone does not make a chain ours: something in the kernel has to speak for it. */
bool xt_owns_chain(const struct xt_claims *claims, const struct xt_table *table,
		   const struct xt_chain *chain)
{
	size_t comments = count_comments(table->f, chain);
	uint8_t digest[16];

	if (claims->scope == SCOPE_RECOGNISED &&
	    (xt_name_recognised(chain->name) || (comments && comments == chain->n)))
		return true;
	if (!xt_claims_name(claims, table, chain->name))
		return false;
	if (claims->trusted || xt_name_recognised(chain->name) || comments)
		return true;

	xt_digest(chain->items, chain->n, digest);
	for (size_t i = 0; i < claims->record->n; i++) {
		const struct record_item *item = &claims->record->items[i];

		if (item_is_chain(item, table, chain->name) &&
		    memcmp(item->digest, digest, sizeof(digest)) == 0)
			return true;
	}
	return false;
}

/* Finds a rule with this digest that is not marked, beginning at *cursor, forwards or backwards. */
static void mark_one(const uint8_t digests[][16], size_t n, const uint8_t digest[16], size_t step,
		     size_t *cursor, bool *own)
{
	for (size_t k = 0, i = *cursor; k < n; k++, i = (i + step) % n) {
		if (own[i] || memcmp(digests[i], digest, 16) != 0)
			continue;
		own[i] = true;
		*cursor = (i + step) % n;
		return;
	}
}

/* As many as are claimed, no more: an equal rule may be somebody else's. Ours were put before (or
 * appended after) those of others, so the search begins there. */
static void mark_claimed(const struct xt_claims *claims, const struct xt_table *table,
			 const struct xt_chain *chain, bool *own)
{
	_free_ uint8_t(*digests)[16] = calloc(chain->n, sizeof(*digests));
	size_t front = 0, back = chain->n - 1;

	if (!digests)
		return;
	for (size_t i = 0; i < chain->n; i++)
		xt_digest(&chain->items[i], 1, digests[i]);
	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < claims->record->n; k++) {
			/* Appended ones from the last to the first. */
			size_t i = pass == 0 ? k : claims->record->n - 1 - k;
			const struct record_item *item = &claims->record->items[i];

			if (!item->is_rule || item->family != table->family ||
			    item->table != table->table || item->appended != (pass == 1) ||
			    strcmp(item->chain, chain->name) != 0)
				continue;
			mark_one(digests, chain->n, item->digest, pass == 0 ? 1 : chain->n - 1,
				 pass == 0 ? &front : &back, own);
		}
	}
}

/* What kumactl's rules without comments are made of. */
struct shape {
	uint8_t proto;
	bool src, dst;         /* an address */
	uint16_t sport, dport; /* 0: any */
	enum op owner;         /* of the user that its chains exempt */
	const char *target;
	uint16_t zone;
	bool other; /* something that no such rule has */
};

enum address_may_be { ABSENT, OPTIONAL, PRESENT };

struct known {
	enum table table;
	const char *chain;
	struct shape shape; /* src, dst aside */
	enum address_may_be src, dst;
	bool any_sport; /* the DNS proxy's port, which only the settings tell */
	bool follows;   /* directly behind one that is recognised: alone it may be anybody's */
};

/* clang-format off */
#define KNOWN(in, chain_name, ...) .table = (in), .chain = (chain_name), .shape = { __VA_ARGS__ }
static const struct known known[] = {
	{ KNOWN(TABLE_NAT, "OUTPUT", .proto = IPPROTO_UDP, .dport = 53, .owner = OP_IS,
		.target = "RETURN") },
	{ KNOWN(TABLE_NAT, "OUTPUT", .proto = IPPROTO_UDP, .dport = 53, .target = "REDIRECT"),
	  .dst = OPTIONAL, .follows = true },
	{ KNOWN(TABLE_NAT, "OUTPUT", .proto = IPPROTO_TCP, .dport = 53, .owner = OP_NOT,
		.target = "RETURN") },
	{ KNOWN(TABLE_RAW, "OUTPUT", .proto = IPPROTO_UDP, .dport = 53, .owner = OP_IS,
		.target = "CT", .zone = 1) },
	{ KNOWN(TABLE_RAW, "OUTPUT", .proto = IPPROTO_UDP, .owner = OP_IS, .target = "CT",
		.zone = 2), .any_sport = true },
	{ KNOWN(TABLE_RAW, "OUTPUT", .proto = IPPROTO_UDP, .dport = 53, .target = "CT", .zone = 2),
	  .dst = OPTIONAL, .follows = true },
	{ KNOWN(TABLE_RAW, "OUTPUT", .proto = IPPROTO_UDP, .target = "CT", .zone = 1),
	  .src = PRESENT, .dst = PRESENT, .follows = true },
	{ KNOWN(TABLE_RAW, "PREROUTING", .proto = IPPROTO_UDP, .sport = 53, .target = "CT",
		.zone = 1), .src = OPTIONAL },
};
/* clang-format on */

static bool is_zero(const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void read_head_v4(const struct ipt_entry *e, struct shape *ret)
{
	ret->proto = (uint8_t)e->ip.proto;
	ret->src = e->ip.smsk.s_addr != 0;
	ret->dst = e->ip.dmsk.s_addr != 0;
	ret->other = e->ip.invflags || e->ip.flags || e->ip.iniface[0] || e->ip.outiface[0];
}

static void read_head_v6(const struct ip6t_entry *e, struct shape *ret)
{
	ret->proto = (uint8_t)e->ipv6.proto;
	ret->src = !is_zero(&e->ipv6.smsk, sizeof(e->ipv6.smsk));
	ret->dst = !is_zero(&e->ipv6.dmsk, sizeof(e->ipv6.dmsk));
	ret->other = e->ipv6.invflags || (e->ipv6.flags & ~IP6T_F_PROTO) || e->ipv6.iniface[0] ||
		     e->ipv6.outiface[0];
}

/* One port, or all of them (0); anything else is not such a rule's. */
static uint16_t read_port(const uint16_t range[static 2], struct shape *ret)
{
	if (range[0] == 0 && range[1] == 0xffff)
		return 0;
	if (range[0] != range[1] || range[0] == 0)
		ret->other = true;
	return range[0];
}

static void read_match(const struct xt_entry_match *m, uint32_t uid, struct shape *ret)
{
	const void *data = m->data;

	if (strcmp(m->u.user.name, "tcp") == 0) {
		const struct xt_tcp *tcp = data;

		ret->sport = read_port(tcp->spts, ret);
		ret->dport = read_port(tcp->dpts, ret);
		ret->other = ret->other || tcp->invflags || tcp->flg_mask || tcp->option;
	} else if (strcmp(m->u.user.name, "udp") == 0) {
		const struct xt_udp *udp = data;

		ret->sport = read_port(udp->spts, ret);
		ret->dport = read_port(udp->dpts, ret);
		ret->other = ret->other || udp->invflags;
	} else if (strcmp(m->u.user.name, "owner") == 0 && m->u.user.revision == 1) {
		const struct xt_owner_match_info *owner = data;

		ret->owner = owner->invert ? OP_NOT : OP_IS;
		if (owner->match != XT_OWNER_UID || owner->uid_min != uid || owner->uid_max != uid)
			ret->other = true;
	} else {
		ret->other = true;
	}
}

static void read_shape(const struct xt_table *table, const struct xt_rule *rule, uint32_t uid,
		       struct shape *ret)
{
	const struct xt_entry_target *target = xt_target(table->f, rule->entry);
	const struct xt_entry_match *m = NULL;

	*ret = (struct shape){ .target = target->u.user.name };
	if (table->family == FAMILY_V4)
		read_head_v4((const void *)rule->entry, ret);
	else
		read_head_v6((const void *)rule->entry, ret);
	while ((m = xt_match(table->f, rule->entry, m)))
		read_match(m, uid, ret);
	if (strcmp(ret->target, "CT") == 0 && target->u.user.revision == 2) {
		const struct xt_ct_target_info_v1 *ct = (const void *)target->data;

		ret->zone = ct->zone;
		ret->other = ret->other || ct->flags || ct->ct_events || ct->helper[0];
	}
}

static bool address_fits(enum address_may_be may, bool is)
{
	return may == OPTIONAL || (may == PRESENT) == is;
}

static bool is_known(const struct known *k, const struct xt_table *table, const char *chain,
		     const struct shape *s)
{
	return k->table == table->table && strcmp(k->chain, chain) == 0 && !s->other &&
	       k->shape.proto == s->proto && k->shape.dport == s->dport &&
	       (k->any_sport ? s->sport != 0 : k->shape.sport == s->sport) &&
	       k->shape.owner == s->owner && k->shape.zone == s->zone &&
	       strcmp(k->shape.target, s->target) == 0 && address_fits(k->src, s->src) &&
	       address_fits(k->dst, s->dst);
}

/* One rule for all servers, or one for each: either way behind what exempts the user. */
static bool may_follow(const struct shape *previous, const struct shape *s)
{
	return previous->owner == OP_IS || (previous->dst && s->dst);
}

static bool shape_recognised(const struct xt_claims *claims, const struct xt_table *table,
			     const struct xt_chain *chain, size_t i, const bool *own)
{
	struct shape shape, previous;
	bool follows = false;

	read_shape(table, &chain->items[i], claims->uid, &shape);
	if (i > 0 && own[i - 1]) {
		read_shape(table, &chain->items[i - 1], claims->uid, &previous);
		follows = may_follow(&previous, &shape);
	}
	for (size_t n = 0; n < ELEMENTS(known); n++)
		if (is_known(&known[n], table, chain->name, &shape) &&
		    (follows || !known[n].follows))
			return true;
	return false;
}

void xt_mark_own(const struct xt_claims *claims, const struct xt_table *table,
		 const struct xt_chain *chain, const struct xt_state *state, bool *own)
{
	if (chain->n == 0)
		return;
	mark_claimed(claims, table, chain, own);
	if (claims->scope != SCOPE_RECOGNISED)
		return;
	for (size_t i = 0; i < chain->n; i++) {
		const char *target = xt_target(table->f, chain->items[i].entry)->u.user.name;
		const struct xt_chain *jumps_to = xt_state_find(state, target);

		own[i] = own[i] || xt_name_recognised(target) || (jumps_to && !jumps_to->builtin) ||
			 xt_comment_recognised(table->f, chain->items[i].entry) ||
			 (claims->uid_known && shape_recognised(claims, table, chain, i, own));
	}
}

void xt_claims_learn(struct xt_claims *claims, const struct xt_table *table,
		     const struct xt_state *state)
{
	for (size_t i = 0; i < state->n; i++) {
		const struct xt_chain *chain = &state->items[i];

		/* With comments there is no need to guess. */
		if (chain->builtin || count_comments(table->f, chain))
			continue;
		for (size_t n = 0; n < chain->n; n++) {
			const struct xt_entry_match *m = NULL;

			while ((m = xt_match(table->f, chain->items[n].entry, m))) {
				const struct xt_owner_match_info *owner = (const void *)m->data;

				if (strcmp(m->u.user.name, "owner") != 0)
					continue;
				claims->uid_known = true;
				claims->uid = owner->uid_min;
				return;
			}
		}
	}
}
