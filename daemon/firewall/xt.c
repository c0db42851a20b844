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

/* What is read: the chains in which the kernel begins. */
static const struct source {
	const char *table;
	const char *tools[FAMILY_COUNT];
	struct {
		const char *chain;
		enum hook hook;
	} hooks[2];
} sources[] = {
	{ "filter", { "iptables-legacy", "ip6tables-legacy" }, { { "INPUT", HOOK_INPUT } } },
	{ "raw",
	  { "iptables-legacy -t raw", "ip6tables-legacy -t raw" },
	  { { "PREROUTING", HOOK_UNTRACKED_IN }, { "OUTPUT", HOOK_UNTRACKED_OUT } } },
};

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
		rule_asks(a, (proto == a->packet->proto) == !(inverted & IPT_INV_PROTO));
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
	return VERDICT_CONTINUE;
}

static enum course judge(struct asking *a)
{
	enum family family = chain_family(a->chain);
	const struct xt_layout *layout = &xt_layouts[family];
	const unsigned char *entry = a->rule->raw;
	const char *target = xt_families[family].get_target(entry, a->userdata);
	const struct xt_entry_target *t = xt_entry_target(family, entry);
	const struct xt_entry_match *m = NULL;
	enum verdict verdict;
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
	verdict = verdict_of(target);
	if (verdict == VERDICT_CONTINUE)
		verdict = xt_target_verdict(target, t->data, t->u.target_size - sizeof(*t));
	return rule_says(a, verdict, NULL);
}

static enum hook hook_of(const struct source *source, const char *chain)
{
	for (size_t i = 0; i < ELEMENTS(source->hooks); i++)
		if (source->hooks[i].chain && strcmp(source->hooks[i].chain, chain) == 0)
			return source->hooks[i].hook;
	return HOOK_NONE;
}

static void read_table(struct arena *arena, const struct source *source, enum family family,
		       struct xtc_handle *handle, struct chain_list *chains)
{
	const struct xt_family *f = &xt_families[family];

	for (const char *name = f->ops->first_chain(handle); name;
	     name = f->ops->next_chain(handle)) {
		struct xt_counters counters;
		const char *policy = f->ops->get_policy(name, &counters, handle);
		struct chain chain = {
			.table = source->table,
			.name = arena_strdup(arena, name),
			.tool = source->tools[family],
			.hook = hook_of(source, name),
			.drops = policy && strcmp(policy, "DROP") == 0,
		};

		chain.family[family] = true;
		for (const void *entry = f->first_rule(name, handle); entry;
		     entry = f->next_rule(entry, handle))
			array_push(arena, &chain, (struct rule){ .raw = entry, .number = chain.n });
		array_push(arena, chains, chain);
	}
}

static void walk_table(struct arena *arena, const struct source *source, enum family family,
		       struct findings *ret)
{
	struct chain_list chains = { .judge = judge };
	struct xtc_handle *handle = NULL;
	bool exists = false;

	/* Opening a table that does not exist would make it. */
	if (xt_table_exists(family, source->table, &exists, NULL) > 0 && exists)
		handle = xt_families[family].ops->init(source->table);
	if (!handle)
		return;
	read_table(arena, source, family, handle, &chains);
	chains.userdata = handle;
	chains_walk(arena, &chains, ret);
	xt_families[family].ops->free(handle);
}

void host_firewall(struct arena *arena, uint16_t inbound_port, struct facts *ret)
{
	struct findings found = { .inbound_port = inbound_port };

	for (size_t i = 0; i < ELEMENTS(sources); i++)
		for (enum family family = 0; family < FAMILY_COUNT; family++)
			walk_table(arena, &sources[i], family, &found);
	host_firewall_nft(arena, &found);
	ret->firewall = found.firewall;
	ret->tracking = found.tracking;
}
