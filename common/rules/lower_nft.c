/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/lower_nft.h"

#include <assert.h>
#include <string.h>

#include <linux/netfilter.h>

#include "common/base/array.h"
#include "common/rules/lower_nft_rule.h"

/* Where a table's chains are hooked in. Others have theirs at `priority`. */
static const struct {
	const char *type;
	int priority;
	bool around; /* what is inserted goes before it, what is appended behind it */
} places[TABLE_COUNT] = {
	[TABLE_RAW] = { "filter", -300, false },
	[TABLE_NAT] = { "nat", NFT_NAT_LAST - 1, true },
	[TABLE_MANGLE] = { "filter", -150, false },
	[TABLE_FILTER] = { "filter", 0, true },
};

static const struct {
	const char *builtin, *name;
	unsigned number;
} hooks[] = {
	{ "PREROUTING", "prerouting", NF_INET_PRE_ROUTING },
	{ "INPUT", "input", NF_INET_LOCAL_IN },
	{ "OUTPUT", "output", NF_INET_LOCAL_OUT },
};

/* The rules of a chain with one of these positions; ~0U: all. */
#define INSERTED (1U << POSITION_INSERT)
#define APPENDED (1U << POSITION_APPEND)

/* The chain that is being filled. */
struct filling {
	struct lower *l;
	unsigned positions;
	struct nft_chain *chain; /* after a split the one with what follows */
	/* In the base chain of what is inserted: the one that both base chains jump to. A RETURN ends
	 * one base chain only; there it accepts, which ends each of them. */
	const char *returns_name;
	struct nft_chain *returns;
	bool decided; /* a rule that may send the packet elsewhere stands in it */
};

static struct nft_chain *add_chain(struct lower *l, const char *name)
{
	struct nft_chain *chain = arena_alloc(l->arena, sizeof(*chain));

	if (!chain)
		return NULL;
	chain->name = name;
	chain->table = l->table;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): a list of pointers */
	array_push(l->arena, &l->ret->chains, chain);
	return chain;
}

static void add_rule(struct lower *l, struct nft_chain *chain, const struct nft_rule *rule)
{
	if (chain)
		array_push(l->arena, chain, *rule);
}

/* Jumps of our own making need no counter. */
static void add_jump(struct lower *l, struct nft_chain *from, enum nft_action action,
		     const struct nft_chain *to)
{
	if (to)
		add_rule(l, from, &(struct nft_rule){ .action = action, .text = to->name });
}

static struct nft_chain *add_base(struct lower *l, const char *builtin, unsigned positions)
{
	int side = positions == INSERTED ? -1 : 1;
	const char *suffix = positions == INSERTED ? "_insert" : "_append";
	size_t i = 0;

	while (i < ELEMENTS(hooks) && strcmp(hooks[i].builtin, builtin) != 0)
		i++;
	assert(i < ELEMENTS(hooks));
	if (!places[l->table].around) {
		side = 0;
		suffix = "";
	}
	struct nft_chain *chain = add_chain(
		l, arena_printf(l->arena, "%s_%s%s", table_name(l->table), hooks[i].name, suffix));
	if (chain)
		chain->hook =
			(struct nft_hook){ places[l->table].type, hooks[i].name, hooks[i].number,
					   places[l->table].priority + side };
	return chain;
}

static bool has_chain(const struct table_rules *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++)
		if (strcmp(table->chains[i].name, name) == 0)
			return true;
	return false;
}

/* All tables are one; a dot is in no name that can be configured. */
static const char *own_name(struct lower *l, const char *name)
{
	if (l->table == TABLE_FILTER && has_chain(&l->rules->table[TABLE_NAT], name))
		return arena_printf(l->arena, "%s.filter", name);
	return name;
}

/* A jump to a chain of others comes back from there: their own base chain is asked later. */
static void set_action(struct lower *l, const struct verdict *verdict, struct nft_rule *ret)
{
	static const enum nft_action actions[VERDICT_COUNT] = {
		[VERDICT_NONE] = NFT_ACTION_NONE,         [VERDICT_RETURN] = NFT_ACTION_RETURN,
		[VERDICT_DROP] = NFT_ACTION_DROP,         [VERDICT_JUMP] = NFT_ACTION_JUMP,
		[VERDICT_REDIRECT] = NFT_ACTION_REDIRECT, [VERDICT_CT_ZONE] = NFT_ACTION_CT_ZONE,
		[VERDICT_LOG] = NFT_ACTION_LOG,           [VERDICT_DNAT] = NFT_ACTION_DNAT,
		[VERDICT_REJECT] = NFT_ACTION_REJECT,
	};

	ret->action = actions[verdict->kind];
	ret->text = verdict->text;
	ret->number = verdict->number;
	if (verdict->kind != VERDICT_JUMP)
		return;
	if (has_chain(&l->rules->table[l->table], verdict->text))
		ret->text = own_name(l, verdict->text);
	else
		ret->action = NFT_ACTION_RETURN;
}

static bool decides(enum nft_action action)
{
	return action == NFT_ACTION_JUMP || action == NFT_ACTION_REDIRECT ||
	       action == NFT_ACTION_DNAT;
}

/* Puts a RETURN among the inserted into the chain that it ends for both base chains. */
static struct nft_chain *returns_of(struct filling *f)
{
	assert(!f->decided); /* it would overtake that */
	if (!f->returns) {
		f->returns = add_chain(f->l, f->returns_name);
		add_jump(f->l, f->chain, NFT_ACTION_JUMP, f->returns);
	}
	return f->returns;
}

/*
 * Whoever has no socket is "not that user" in iptables; in nf_tables asking for the user of a socket
 * that is not there ends the rule. So that user goes on with what follows, which has a chain of its
 * own for it, and of all others nobody is asked.
 */
static void add_split(struct filling *f, const struct rule *rule, const struct lower_sets *sets,
		      const struct nft_rule *lowered)
{
	struct lower *l = f->l;
	struct nft_chain *rest =
		f->chain ? add_chain(l, arena_printf(l->arena, "%s.rest", f->chain->name)) : NULL;
	struct rule without = *rule;
	struct nft_rule user = { 0 }, others = *lowered;

	if (!rest)
		return;
	lower_matches(l, rule, sets, &user);
	user.action = NFT_ACTION_GOTO;
	user.text = rest->name;
	add_rule(l, f->chain, &user);
	without.uid = (struct match_uid){ 0 };
	lower_matches(l, &without, sets, &others);
	add_rule(l, f->chain, &others);
	add_jump(l, f->chain, NFT_ACTION_GOTO, rest);
	f->chain = rest;
}

static bool excludes(const struct rule *rule)
{
	return rule->listed && rule->verdict.kind == VERDICT_RETURN;
}

static void lower_rule(struct filling *f, const struct rule *rule, const struct lower_sets *sets,
		       const char *comment)
{
	struct nft_rule lowered = { .counter = true, .excludes = excludes(rule) };
	struct nft_chain *chain = f->chain;

	if (lower_never(rule))
		return;
	if (comment)
		lowered.comment = lower_comment(f->l->arena, comment);
	set_action(f->l, &rule->verdict, &lowered);
	if (f->returns_name && lowered.action == NFT_ACTION_RETURN) {
		assert(rule->uid.op != OP_NOT);
		chain = returns_of(f);
		lowered.action = NFT_ACTION_ACCEPT;
	}
	f->decided = f->decided || decides(lowered.action);
	if (rule->uid.op == OP_NOT) {
		add_split(f, rule, sets, &lowered);
		return;
	}
	lower_matches(f->l, rule, sets, &lowered);
	add_rule(f->l, chain, &lowered);
}

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	static const struct lower_sets none;
	struct filling *f = userdata;

	if (f->positions & 1U << rule->position)
		lower_rule(f, rule, &none,
			   text->comment[0] ? text->comment + strlen(COMMENT_PREFIX) : NULL);
	return 0;
}

/* A rule over a set, whose name stands in the comment where the element did. */
static void lower_over(struct filling *f, const struct rule *rule, const struct lower_sets *sets,
		       const struct nft_set *set)
{
	const char *comment = rule->comment, *mark = comment ? strstr(comment, "%s") : NULL;

	if (!set)
		return;
	if (mark)
		comment = arena_printf(f->l->arena, "%.*s@%s%s", (int)(mark - comment), comment,
				       set->name, mark + 2);
	lower_rule(f, rule, sets, comment);
}

static bool same_ports(const struct uid_exclusion *a, const struct uid_exclusion *b)
{
	return a->proto == b->proto && a->n_ports == b->n_ports &&
	       memcmp(a->ports, b->ports, a->n_ports * sizeof(*a->ports)) == 0;
}

/* One rule for each distinct protocol and list of ports. */
static void lower_uids(struct filling *f, const struct rule *rule)
{
	const struct uid_exclusion *all = rule->each.exclusions;
	size_t n = rule->each.n;
	bool *done = arena_alloc(f->l->arena, n * sizeof(*done));
	struct nft_interval *uids = arena_alloc(f->l->arena, n * sizeof(*uids));

	for (size_t first = 0; first < n && done && uids; first++) {
		struct lower_sets sets = { 0 };
		struct rule_text text;
		struct rule one;
		size_t found = 0;

		for (size_t i = first; i < n; i++) {
			if (done[i] || !same_ports(&all[first], &all[i]))
				continue;
			done[i] = true;
			uids[found++] = nft_interval_uids(all[i].uid_lo, all[i].uid_hi);
		}
		if (!found || !rule_at(rule, first, &one, &text))
			continue;
		if (found == 1) {
			(void)on_rule(&one, &text, f);
			continue;
		}
		one.comment = rule->comment;
		sets.of[NFT_FIELD_UID] = lower_set(f->l, NFT_TYPE_UID, uids, found);
		lower_over(f, &one, &sets, sets.of[NFT_FIELD_UID]);
	}
}

/* The n-th element of a list of ports, networks or addresses. */
static struct nft_interval interval_at(const struct each *each, size_t n)
{
	if (each->kind == EACH_DPORT || each->kind == EACH_ORIG_DPORT)
		return nft_interval_ports(each->ports[n], each->ports[n]);
	if (each->kind == EACH_SRC || each->kind == EACH_DST)
		return nft_interval_prefix(&each->nets[n].prefix);
	return nft_interval_prefix(&(struct ip_prefix){
		each->addresses[n], each->addresses[n].family == FAMILY_V4 ? 32 : 128 });
}

/* The field that a list of this kind is asked of as a set; NFT_FIELD_COUNT: it is none. */
static enum nft_field field_of(enum each_kind kind)
{
	switch (kind) {
	case EACH_DPORT:
		return NFT_FIELD_DPORT;
	case EACH_ORIG_DPORT:
		return NFT_FIELD_ORIG_DPORT;
	case EACH_SRC:
	case EACH_SRC_SERVER:
		return NFT_FIELD_SRC;
	case EACH_DST:
	case EACH_DST_SERVER:
		return NFT_FIELD_DST;
	case EACH_UID:
		return NFT_FIELD_UID;
	case EACH_NONE:
	case EACH_ENDPOINT: /* pairs: as sets they would be slower than rules */
	case EACH_ORIG_ENDPOINT:
	case EACH_SRC_LOOPBACK_SERVER: /* with others over its list */
	case EACH_VNET_IIF:            /* each has its own network */
	case EACH_VNET_IIF_NOT_DST:
		break;
	}
	return NFT_FIELD_COUNT;
}

static void lower_list(struct filling *f, const struct rule *rule)
{
	const struct each *each = &rule->each;
	enum nft_field field = field_of(each->kind);
	bool ports = field == NFT_FIELD_DPORT || field == NFT_FIELD_ORIG_DPORT;
	struct nft_interval *items;
	struct lower_sets sets = { 0 };
	struct rule over = *rule;

	if (field == NFT_FIELD_UID) {
		lower_uids(f, rule);
		return;
	}
	items = arena_alloc(f->l->arena, each->n * sizeof(*items));
	if (!items)
		return;
	for (size_t i = 0; i < each->n; i++)
		items[i] = interval_at(each, i);
	sets.of[field] = lower_set(f->l, ports ? NFT_TYPE_PORT : NFT_TYPE_ADDRESS, items, each->n);
	over.each = (struct each){ 0 };
	over.listed = true;
	lower_over(f, &over, &sets, sets.of[field]);
}

/* Rules that go over one list together keep the order of its elements. */
static void fill(struct filling *f, const struct chain *chain)
{
	for (size_t first = 0, end; first < chain->n; first = end) {
		const struct rule *rule = &chain->rules[first];
		struct chain part = { .name = chain->name, .rules = &chain->rules[first] };

		end = chain_loop_end(chain, first);
		part.n = end - first;
		if (part.n > 1 || rule->each.n < 2 || field_of(rule->each.kind) == NFT_FIELD_COUNT)
			(void)chain_visit(&part, on_rule, f);
		else if (f->positions & 1U << rule->position)
			lower_list(f, rule);
	}
}

static bool has_position(const struct chain *chain, unsigned positions)
{
	for (size_t i = 0; i < chain->n; i++)
		if (positions & 1U << chain->rules[i].position)
			return true;
	return false;
}

static void lower_builtin(struct lower *l, const struct chain *chain)
{
	bool inserted = has_position(chain, INSERTED), around = places[l->table].around;
	struct filling f = { .l = l, .positions = INSERTED };
	const struct nft_chain *returns;

	if (inserted || !around)
		f.chain = add_base(l, chain->name, INSERTED);
	if (inserted && around && f.chain)
		f.returns_name = arena_printf(l->arena, "%s_%s_return", table_name(l->table),
					      f.chain->hook.name);
	fill(&f, chain);
	if (!has_position(chain, APPENDED))
		return;
	returns = f.returns;
	f = (struct filling){ .l = l, .positions = APPENDED, .chain = f.chain };
	if (around)
		f.chain = add_base(l, chain->name, APPENDED);
	add_jump(l, f.chain, NFT_ACTION_JUMP, returns);
	fill(&f, chain);
}

static void lower_table(struct lower *l, enum level level)
{
	const struct table_rules *table = &l->rules->table[l->table];

	for (size_t i = 0; i < table->n; i++) {
		const struct chain *chain = &table->chains[i];

		if (chain->builtin) {
			lower_builtin(l, chain);
		} else {
			struct filling f = {
				.l = l,
				.positions = ~0U,
				.chain = add_chain(l, own_name(l, chain->name)),
			};

			fill(&f, chain);
		}
	}
	/* Open connections need more than the rules that redirect: what keeps nat asked. */
	if (l->table == TABLE_NAT && table->n > 0 && level == LEVEL_DRAIN)
		(void)add_base(l, "OUTPUT", APPENDED);
}

void lower_nft(struct arena *arena, const struct ruleset *rules, struct nft_ruleset *ret)
{
	*ret = (struct nft_ruleset){ .table = NFT_TABLE };
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct lower l = {
			.arena = arena,
			.family = family,
			.rules = &rules->family[family],
			.ret = &ret->family[family],
		};

		for (l.table = 0; l.table < TABLE_COUNT; l.table++)
			lower_table(&l, rules->level);
	}
}
