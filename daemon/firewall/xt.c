/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <string.h>

#include <libiptc/libip6tc.h>

#include "common/base/array.h"
#include "common/rules/xt_entry.h"
#include "daemon/firewall/draft.h"
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

static void read_head(const struct head *head, struct draft *draft)
{
	if (head->proto != 0)
		draft_asks_always(draft, (head->proto == IPPROTO_TCP) != head->proto_inverted);
	if (head->elsewhere || (head->in[0] && strcmp(head->in, "lo") != 0))
		draft->rule.partly = true;
	else if (head->in[0])
		draft_asks_always(draft, head->in_inverted);
}

/* One table while it is read. */
struct reading {
	struct arena *arena;
	enum family family;
	struct xtc_handle *handle;
	struct facts_firewall *firewall;
	size_t first; /* of its chains among the facts */
};

static void read_verdict(const struct reading *s, const char *target, bool jumps_away,
			 struct filter_rule *rule)
{
	for (size_t i = s->first; i < s->firewall->n; i++) {
		if (strcmp(s->firewall->items[i].name, target) != 0)
			continue;
		rule->target = i;
		rule->verdict = jumps_away ? FILTER_GOTO : FILTER_JUMP;
		return;
	}
	if (strcmp(target, "ACCEPT") == 0)
		rule->verdict = FILTER_ACCEPT;
	else if (strcmp(target, "DROP") == 0)
		rule->verdict = FILTER_DROP;
	else if (strcmp(target, "RETURN") == 0)
		rule->verdict = FILTER_RETURN;
	else
		rule->verdict = draft_target(target);
}

static void read_chain(const struct reading *s, struct filter_chain *chain)
{
	const struct xt_family *f = &xt_families[s->family];
	const void *entry = f->first_rule(chain->name, s->handle);

	for (unsigned number = 1; entry; number++, entry = f->next_rule(entry, s->handle)) {
		const struct xt_entry_match *m = NULL;
		struct head head = read_entry(s->family, entry);
		struct draft draft = { .arena = s->arena };

		draft.rule.name = arena_printf(s->arena, "rule %u of chain %s (%s)", number,
					       chain->name, tools[s->family]);
		read_head(&head, &draft);
		while ((m = xt_entry_match(s->family, entry, m)) && m->u.match_size >= sizeof(*m))
			draft_match(&draft, &(struct draft_match){
						    .name = m->u.user.name,
						    .revision = m->u.user.revision,
						    .data = m->data,
						    .len = m->u.match_size - sizeof(*m),
					    });
		read_verdict(s, f->get_target(entry, s->handle), head.jumps_away, &draft.rule);
		draft_end(&draft, chain);
	}
}

static void read_table(const struct reading *s)
{
	const struct xtc_ops *ops = xt_families[s->family].ops;
	const char *tool = tools[s->family];

	/* All names before the first rule: jumps are told from targets by them. */
	for (const char *name = ops->first_chain(s->handle); name;
	     name = ops->next_chain(s->handle)) {
		struct filter_chain chain = { .name = arena_strdup(s->arena, name) };
		struct xt_counters counters;
		const char *policy = ops->get_policy(name, &counters, s->handle);

		chain.base = strcmp(name, HOOK) == 0;
		chain.drops = policy && strcmp(policy, "DROP") == 0;
		chain.family[s->family] = true;
		chain.add = arena_printf(s->arena, "%s -I " HOOK, tool);
		array_push(s->arena, s->firewall, chain);
	}
	if (s->arena->failed)
		return;
	for (size_t i = s->first; i < s->firewall->n; i++)
		read_chain(s, &s->firewall->items[i]);
	for (size_t i = s->first; i < s->firewall->n; i++)
		s->firewall->items[i].name =
			arena_printf(s->arena, "chain %s (%s)", s->firewall->items[i].name, tool);
}

static void host_firewall_legacy(struct arena *arena, struct facts_firewall *firewall)
{
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		const struct xt_family *f = &xt_families[family];
		struct reading s = { arena, family, NULL, firewall, firewall->n };
		bool exists;

		if (xt_table_exists(family, TABLE, &exists, NULL) > 0 && exists)
			s.handle = f->ops->init(TABLE);
		if (!s.handle)
			continue;
		read_table(&s);
		f->ops->free(s.handle);
	}
}

void host_firewall(struct arena *arena, struct facts_firewall *ret)
{
	*ret = (struct facts_firewall){ 0 };
	host_firewall_legacy(arena, ret);
	host_firewall_nft(arena, ret);
}
