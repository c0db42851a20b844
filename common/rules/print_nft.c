/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/print_nft.h"

#include <netinet/in.h>
#include <string.h>

/* How a family is called in front of tables and of addresses. */
static const char *const families[FAMILY_COUNT] = { "ip", "ip6" };

struct printer {
	struct strbuf *out;
	enum family family;
	unsigned proto; /* that the rule has asked for, or will in the next words */
};

static void print_end(const struct printer *p, enum nft_type type, const uint8_t end[static 16])
{
	struct ip_addr addr = { .family = p->family };
	char text[IP_TEXT_MAX];

	if (type != NFT_TYPE_ADDRESS) {
		strbuf_addf(p->out, "%u", nft_number(type, end));
		return;
	}
	memcpy(addr.bytes, end, nft_type_size(type, p->family));
	ip_print(&addr, text);
	strbuf_add(p->out, text);
}

static void print_interval(const struct printer *p, enum nft_type type,
			   const struct nft_interval *interval)
{
	size_t size = nft_type_size(type, p->family);
	int len = type == NFT_TYPE_ADDRESS ? nft_prefix_length(interval, size) : -1;

	print_end(p, type, interval->lo);
	if (memcmp(interval->lo, interval->hi, size) == 0)
		return;
	if (len >= 0) {
		strbuf_addf(p->out, "/%d", len);
	} else {
		strbuf_addc(p->out, '-');
		print_end(p, type, interval->hi);
	}
}

/* "*" stands for any suffix where it is the last. */
static void print_iface(const struct printer *p, const struct nft_match *match)
{
	size_t len = strlen(match->iface);
	bool star = len > 0 && match->iface[len - 1] == '*';

	if (match->iface_prefix || star)
		len--;
	strbuf_addc(p->out, '"');
	strbuf_add_len(p->out, match->iface, len);
	strbuf_add(p->out, match->iface_prefix ? "*\"" : star ? "\\*\"" : "\"");
}

static const char *proto_name(const struct printer *p)
{
	return p->proto == IPPROTO_UDP ? "udp" : "tcp";
}

static void print_value(const struct printer *p, const char *what, enum nft_type type,
			const struct nft_match *match)
{
	strbuf_addf(p->out, "%s %s", what, match->op == OP_NOT ? "!= " : "");
	if (match->set)
		strbuf_addf(p->out, "@%s", match->set->name);
	else
		print_interval(p, type, &match->value);
}

static void print_address(const struct printer *p, const char *before, const char *what,
			  const struct nft_match *match)
{
	strbuf_addf(p->out, "%s%s ", before, families[p->family]);
	print_value(p, what, NFT_TYPE_ADDRESS, match);
}

static void print_match(const struct printer *p, const struct nft_match *match)
{
	switch (match->field) {
	case NFT_FIELD_IIF:
	case NFT_FIELD_OIF:
		strbuf_add(p->out, match->field == NFT_FIELD_IIF ? "iifname " : "oifname ");
		print_iface(p, match);
		break;
	case NFT_FIELD_SRC:
		print_address(p, "", "saddr", match);
		break;
	case NFT_FIELD_DST:
		print_address(p, "", "daddr", match);
		break;
	case NFT_FIELD_PROTO:
		strbuf_addf(p->out, "meta l4proto %s", proto_name(p));
		break;
	case NFT_FIELD_SPORT:
	case NFT_FIELD_DPORT:
		strbuf_addf(p->out, "%s ", proto_name(p));
		print_value(p, match->field == NFT_FIELD_SPORT ? "sport" : "dport", NFT_TYPE_PORT,
			    match);
		break;
	case NFT_FIELD_SYN:
		strbuf_addf(p->out, "tcp flags & (fin | syn | rst | ack) %s syn",
			    match->op == OP_NOT ? "!=" : "==");
		break;
	case NFT_FIELD_LOCAL:
		strbuf_add(p->out, "fib daddr type local");
		break;
	case NFT_FIELD_UID:
		print_value(p, "meta skuid", NFT_TYPE_UID, match);
		break;
	case NFT_FIELD_INVALID:
		strbuf_add(p->out, "ct state invalid");
		break;
	case NFT_FIELD_ORIG_DST:
		print_address(p, "ct original ", "daddr", match);
		break;
	case NFT_FIELD_ORIG_DPORT:
		print_value(p, "ct original proto-dst", NFT_TYPE_PORT, match);
		break;
	case NFT_FIELD_COUNT:
		break;
	}
	strbuf_addc(p->out, ' ');
}

/* Whether the next words name the protocol anyway. */
static bool is_implied(const struct nft_rule *rule, size_t i)
{
	return rule->items[i].field == NFT_FIELD_PROTO && i + 1 < rule->n &&
	       rule->items[i + 1].field >= NFT_FIELD_SPORT &&
	       rule->items[i + 1].field <= NFT_FIELD_SYN;
}

static void print_action(const struct printer *p, const struct nft_rule *rule)
{
	static const char *const levels[] = { "emerg", "alert",  "crit", "err",
					      "warn",  "notice", "info", "debug" };
	static const char *const words[NFT_ACTION_COUNT] = {
		[NFT_ACTION_RETURN] = "return ",
		[NFT_ACTION_ACCEPT] = "accept ",
		[NFT_ACTION_DROP] = "drop ",
		[NFT_ACTION_JUMP] = "jump ",
		[NFT_ACTION_GOTO] = "goto ",
		[NFT_ACTION_REDIRECT] = "redirect to :",
		[NFT_ACTION_DNAT] = "dnat to :",
		[NFT_ACTION_CT_ZONE] = "ct zone set ",
		[NFT_ACTION_REJECT] = "reject with tcp reset ",
	};

	if (rule->action == NFT_ACTION_LOG)
		strbuf_addf(p->out, "log prefix \"%s\" level %s ", rule->text,
			    levels[rule->number & 7]);
	if (words[rule->action])
		strbuf_add(p->out, words[rule->action]);
	if (rule->action == NFT_ACTION_JUMP || rule->action == NFT_ACTION_GOTO)
		strbuf_addf(p->out, "%s ", rule->text);
	if (rule->action == NFT_ACTION_REDIRECT || rule->action == NFT_ACTION_DNAT ||
	    rule->action == NFT_ACTION_CT_ZONE)
		strbuf_addf(p->out, "%u ", rule->number);
}

static void print_rule_line(struct printer *p, const struct nft_rule *rule)
{
	strbuf_add(p->out, "\t\t");
	p->proto = 0;
	for (size_t i = 0; i < rule->n; i++) {
		if (rule->items[i].field == NFT_FIELD_PROTO)
			p->proto = rule->items[i].value.lo[0];
		if (!is_implied(rule, i))
			print_match(p, &rule->items[i]);
	}
	if (rule->counter)
		strbuf_add(p->out, "counter ");
	print_action(p, rule);
	if (rule->comment)
		strbuf_addf(p->out, "comment \"%s\" ", rule->comment);
	/* Each word has brought its blank. */
	if (!p->out->failed)
		p->out->text[p->out->len - 1] = '\n';
}

static void print_set(const struct printer *p, const struct nft_set *set)
{
	static const char *const types[NFT_TYPE_COUNT] = { "inet_service", "uid", NULL };
	static const char *const addresses[FAMILY_COUNT] = { "ipv4_addr", "ipv6_addr" };

	strbuf_addf(p->out, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = { ",
		    set->name, types[set->type] ? types[set->type] : addresses[p->family]);
	for (size_t i = 0; i < set->n; i++) {
		strbuf_add(p->out, i > 0 ? ", " : "");
		print_interval(p, set->type, &set->items[i]);
	}
	strbuf_add(p->out, " }\n\t}\n");
}

static void print_table(struct printer *p, const char *name, const struct nft_table *table)
{
	strbuf_addf(p->out, "\ntable %s %s {\n", families[p->family], name);
	for (size_t i = 0; i < table->sets.n; i++) {
		print_set(p, table->sets.items[i]);
		strbuf_addc(p->out, '\n');
	}
	for (size_t i = 0; i < table->chains.n; i++) {
		const struct nft_chain *chain = table->chains.items[i];

		strbuf_addf(p->out, "%s\tchain %s {\n", i > 0 ? "\n" : "", chain->name);
		if (chain->hook.type)
			strbuf_addf(p->out, "\t\ttype %s hook %s priority %d; policy accept;\n",
				    chain->hook.type, chain->hook.name, chain->hook.priority);
		for (size_t k = 0; k < chain->n; k++)
			print_rule_line(p, &chain->items[k]);
		strbuf_add(p->out, "\t}\n");
	}
	strbuf_add(p->out, "}\n");
}

void print_nft(const struct nft_ruleset *rules, struct strbuf *out)
{
	/* A table can only be deleted where there is one. */
	for (enum family family = 0; family < FAMILY_COUNT; family++)
		if (!rules->family[family].leave)
			strbuf_addf(out, "add table %s %s\ndelete table %s %s\n", families[family],
				    rules->table, families[family], rules->table);
	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		struct printer p = { .out = out, .family = family };

		if (rules->family[family].chains.n > 0)
			print_table(&p, rules->table, &rules->family[family]);
	}
}
