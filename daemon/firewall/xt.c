/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <string.h>

#include <libiptc/libip6tc.h>

#include "common/base/array.h"
#include "common/rules/xt_entry.h"
#include "daemon/firewall/firewall.h"
#include "daemon/netfilter/xt/family.h"

#define TABLE "filter"
#define HOOK  "INPUT"

/* An entry's head, whichever family's. */
struct head {
	uint16_t proto;
	bool proto_inverted, in_inverted, elsewhere, jumps_away;
	const char *in;
};

static const char *const tools[FAMILY_COUNT] = { "iptables-legacy", "ip6tables-legacy" };

static bool any_bit(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const unsigned char *)bytes)[i])
			return true;
	return false;
}

static struct head head_v4(const void *entry)
{
	const struct ipt_entry *e = entry;

	return (struct head){
		.proto = e->ip.proto,
		.proto_inverted = e->ip.invflags & IPT_INV_PROTO,
		.in = e->ip.iniface,
		.in_inverted = e->ip.invflags & IPT_INV_VIA_IN,
		.elsewhere = any_bit(&e->ip.smsk, sizeof(e->ip.smsk)) ||
			     any_bit(&e->ip.dmsk, sizeof(e->ip.dmsk)) || e->ip.outiface[0] ||
			     (e->ip.flags & IPT_F_FRAG),
		.jumps_away = e->ip.flags & IPT_F_GOTO,
	};
}

static struct head head_v6(const void *entry)
{
	const struct ip6t_entry *e = entry;

	return (struct head){
		.proto = e->ipv6.proto,
		.proto_inverted = e->ipv6.invflags & IP6T_INV_PROTO,
		.in = e->ipv6.iniface,
		.in_inverted = e->ipv6.invflags & IP6T_INV_VIA_IN,
		.elsewhere = any_bit(&e->ipv6.smsk, sizeof(e->ipv6.smsk)) ||
			     any_bit(&e->ipv6.dmsk, sizeof(e->ipv6.dmsk)) || e->ipv6.outiface[0],
		.jumps_away = e->ipv6.flags & IP6T_F_GOTO,
	};
}

static struct head read_entry(enum family family, const void *entry)
{
	return family == FAMILY_V4 ? head_v4(entry) : head_v6(entry);
}

static void on_table(const char *table, void *userdata)
{
	bool *exists = userdata;

	*exists = *exists || strcmp(table, TABLE) == 0;
}

/* Opening a table that does not exist would make it. */
static bool exists(enum family family)
{
	bool found = false;

	return xt_tables(family, on_table, &found, NULL) > 0 && found;
}

static void read_head(const struct head *head, struct filter_rule *rule)
{
	if (head->proto != 0 && (head->proto == IPPROTO_TCP) == head->proto_inverted)
		rule->never = true;
	if (head->in[0] && strcmp(head->in, "lo") != 0)
		rule->partly = true;
	else if (head->in[0] && !head->in_inverted)
		rule->never = true;
	if (head->elsewhere)
		rule->partly = true;
}

/* The chains of this family begin at `first`. */
static size_t find(const struct facts_firewall *firewall, size_t first, const char *target)
{
	for (size_t i = first; i < firewall->n; i++)
		if (strcmp(firewall->items[i].name, target) == 0)
			return i;
	return firewall->n;
}

static void read_verdict(const struct facts_firewall *firewall, size_t first, const char *target,
			 const struct head *head, struct filter_rule *rule)
{
	rule->target = find(firewall, first, target);
	if (rule->target < firewall->n)
		rule->verdict = head->jumps_away ? FILTER_GOTO : FILTER_JUMP;
	else if (strcmp(target, "ACCEPT") == 0)
		rule->verdict = FILTER_ACCEPT;
	else if (strcmp(target, "DROP") == 0)
		rule->verdict = FILTER_DROP;
	else if (strcmp(target, "RETURN") == 0)
		rule->verdict = FILTER_RETURN;
	else
		rule->verdict = host_firewall_target(target);
}

static void read_matches(struct arena *arena, enum family family, const void *entry,
			 struct filter_rule *rule)
{
	const struct xt_entry_match *m = NULL;

	while ((m = xt_entry_match(family, entry, m)) && m->u.match_size >= sizeof(*m)) {
		struct xt_info info = {
			.name = m->u.user.name,
			.revision = m->u.user.revision,
			.data = m->data,
			.len = m->u.match_size - sizeof(*m),
		};

		host_firewall_match(arena, &info, rule);
	}
}

/* The parameters are where it is read from, what its jumps are told by, and where it goes. */
static void read_chain(struct arena *arena, enum family family, struct xtc_handle *handle,
		       const struct facts_firewall *firewall, size_t first,
		       struct filter_chain *chain)
{
	const struct xt_family *f = &xt_families[family];
	const void *entry = f->first_rule(chain->name, handle);

	for (unsigned number = 1; entry; number++, entry = f->next_rule(entry, handle)) {
		struct filter_rule rule = { 0 };
		struct head head = read_entry(family, entry);

		rule.name = arena_printf(arena, "rule %u of chain %s (%s)", number, chain->name,
					 tools[family]);
		read_head(&head, &rule);
		read_matches(arena, family, entry, &rule);
		read_verdict(firewall, first, f->get_target(entry, handle), &head, &rule);
		array_push(arena, chain, rule);
	}
}

static void read_table(struct arena *arena, enum family family, struct xtc_handle *handle,
		       struct facts_firewall *firewall)
{
	const struct xtc_ops *ops = xt_families[family].ops;
	size_t first = firewall->n;

	/* All names before the first rule: jumps are told from targets by them. */
	for (const char *name = ops->first_chain(handle); name; name = ops->next_chain(handle)) {
		struct filter_chain chain = { .name = arena_strdup(arena, name) };
		struct xt_counters counters;
		const char *policy = ops->get_policy(name, &counters, handle);

		chain.base = strcmp(name, HOOK) == 0;
		chain.drops = policy && strcmp(policy, "DROP") == 0;
		chain.family[family] = true;
		chain.add = arena_printf(arena, "%s -I " HOOK, tools[family]);
		array_push(arena, firewall, chain);
	}
	if (arena->failed)
		return;
	for (size_t i = first; i < firewall->n; i++)
		read_chain(arena, family, handle, firewall, first, &firewall->items[i]);
	for (size_t i = first; i < firewall->n; i++)
		firewall->items[i].name = arena_printf(arena, "chain %s (%s)",
						       firewall->items[i].name, tools[family]);
}

void host_firewall_legacy(struct arena *arena, struct facts_firewall *firewall)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct xt_family *f = &xt_families[family];
		struct xtc_handle *handle = exists(family) ? f->ops->init(TABLE) : NULL;

		if (!handle)
			continue;
		read_table(arena, family, handle, firewall);
		f->ops->free(handle);
	}
}
