/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <string.h>

#include <libiptc/libip6tc.h>

#include "common/base/array.h"
#include "common/rules/marks.h"
#include "common/rules/xt_entry.h"
#include "daemon/firewall/firewall.h"
#include "daemon/firewall/walk.h"
#include "daemon/netfilter/xt/family.h"

#define TABLE "filter"

static const char *const tools[FAMILY_COUNT] = { "iptables-legacy", "ip6tables-legacy" };

static enum family chain_family(const struct chain *chain)
{
	return chain->family[FAMILY_V4] ? FAMILY_V4 : FAMILY_V6;
}

static bool any_bit(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return true;
	return false;
}

/* What an entry asks for before its matches. */
static void read_head(struct asking *a, const struct xt_layout *layout, const unsigned char *entry)
{
	unsigned char inverted = entry[layout->inverted];
	const char *iif = (const char *)entry + layout->iif;
	uint16_t proto;

	memcpy(&proto, entry + layout->proto, sizeof(proto));
	if (proto != 0)
		rule_asks(a, (proto == IPPROTO_TCP) == !(inverted & IPT_INV_PROTO));
	if (any_bit(entry + layout->src_mask, layout->address) ||
	    any_bit(entry + layout->dst_mask, layout->address) || entry[layout->oif] ||
	    (!layout->proto_flag && (entry[layout->flags] & IPT_F_FRAG)) ||
	    (iif[0] && strcmp(iif, "lo") != 0))
		a->maybe = true;
	else if (iif[0])
		rule_asks(a, inverted & IPT_INV_VIA_IN);
}

static enum verdict verdict_of(const char *target)
{
	if (strcmp(target, "ACCEPT") == 0)
		return VERDICT_ACCEPT;
	if (strcmp(target, "DROP") == 0)
		return VERDICT_DROP;
	if (strcmp(target, "RETURN") == 0)
		return VERDICT_RETURN;
	return xt_target_verdict(target);
}

static enum course judge(struct asking *a)
{
	enum family family = chain_family(a->chain);
	const struct xt_layout *layout = &xt_layouts[family];
	const unsigned char *entry = a->rule->raw;
	const char *target = xt_families[family].get_target(entry, a->userdata);
	const struct xt_entry_match *m = NULL;
	bool goes = entry[layout->flags] & (family == FAMILY_V4 ? IPT_F_GOTO : IP6T_F_GOTO);

	if (mesh_chain(target))
		return COURSE_NEXT; /* ours */
	read_head(a, layout, entry);
	while ((m = xt_entry_match(family, entry, m)) && m->u.match_size >= sizeof(*m))
		rule_asks_xt(a, m->u.user.name, m->u.user.revision, m->data,
			     m->u.match_size - sizeof(*m));
	/* The name of a chain is a jump. */
	if (xt_families[family].ops->is_chain(target, a->userdata))
		return rule_says(a, goes ? VERDICT_GOTO : VERDICT_JUMP, target);
	return rule_says(a, verdict_of(target), NULL);
}

static void read_table(struct arena *arena, enum family family, struct xtc_handle *handle,
		       struct chain_list *chains)
{
	const struct xt_family *f = &xt_families[family];

	for (const char *name = f->ops->first_chain(handle); name;
	     name = f->ops->next_chain(handle)) {
		struct xt_counters counters;
		const char *policy = f->ops->get_policy(name, &counters, handle);
		struct chain chain = {
			.table = TABLE,
			.name = arena_strdup(arena, name),
			.tool = tools[family],
			.base = strcmp(name, "INPUT") == 0,
			.drops = policy && strcmp(policy, "DROP") == 0,
		};

		chain.family[family] = true;
		for (const void *entry = f->first_rule(name, handle); entry;
		     entry = f->next_rule(entry, handle))
			array_push(arena, &chain, (struct rule){ .raw = entry, .number = chain.n });
		array_push(arena, chains, chain);
	}
}

void host_firewall(struct arena *arena, uint16_t inbound_port, struct facts_firewall *ret)
{
	*ret = (struct facts_firewall){ 0 };
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct chain_list chains = { .judge = judge };
		struct xtc_handle *handle = NULL;
		bool exists = false;

		/* Opening a table that does not exist would make it. */
		if (xt_table_exists(family, TABLE, &exists, NULL) > 0 && exists)
			handle = xt_families[family].ops->init(TABLE);
		if (!handle)
			continue;
		read_table(arena, family, handle, &chains);
		chains.userdata = handle;
		chains_walk(arena, &chains, inbound_port, ret);
		xt_families[family].ops->free(handle);
	}
	host_firewall_nft(arena, inbound_port, ret);
}
