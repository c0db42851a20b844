/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/print_restore.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/utf8.h"

/* An option in its short and its long form; the reference's "verbose" asks for the second. */
typedef const char *const option_t[2];

static option_t append = { "-A", "--append" };
static option_t insert = { "-I", "--insert" };
static option_t new_chain = { "-N", "--new-chain" };
static option_t src = { "-s", "--source" };
static option_t dst = { "-d", "--destination" };
static option_t iif = { "-i", "--in-interface" };
static option_t oif = { "-o", "--out-interface" };
static option_t proto = { "-p", "--protocol" };
static option_t match = { "-m", "--match" };
static option_t sport = { "--sport", "--source-port" };
static option_t dport = { "--dport", "--destination-port" };
static option_t orig_dst = { "--ctorigdst", "--ctorigdst" };
static option_t orig_dport = { "--ctorigdstport", "--ctorigdstport" };
static option_t jump = { "-j", "--jump" };

static void print_word(const struct rule_printer *p, const char *word)
{
	strbuf_addf(p->out, " %s", word);
}

/* An option, negated or not, and its value; nothing for OP_ANY. */
static void print_op(const struct rule_printer *p, enum op op, option_t option, const char *value)
{
	if (op != OP_ANY)
		strbuf_addf(p->out, "%s %s %s", op == OP_NOT ? " !" : "", option[p->verbose],
			    value);
}

static void print_option(const struct rule_printer *p, option_t option, const char *value)
{
	print_op(p, value ? OP_IS : OP_ANY, option, value);
}

static void print_net(const struct rule_printer *p, const struct match_net *net, option_t option)
{
	char text[IP_TEXT_MAX];

	if (!net->text)
		ip_prefix_print(&net->net, text);
	print_op(p, net->op, option, net->text ? net->text : text);
}

/* Nothing for 0. */
static void print_number(const struct rule_printer *p, option_t option, unsigned number)
{
	if (number)
		strbuf_addf(p->out, " %s %u", option[p->verbose], number);
}

static void print_proto(const struct rule_printer *p, const struct rule *rule)
{
	if (rule->multiport.n > 0)
		print_option(p, match, "multiport");
	if (rule->udp_match)
		print_option(p, match, "udp");
	if (rule->proto == IPPROTO_TCP)
		print_option(p, proto, "tcp");
	else if (rule->proto == IPPROTO_UDP)
		print_option(p, proto, "udp");
	else
		print_number(p, proto, rule->proto);
}

static void print_ports(const struct rule_printer *p, const struct rule *rule)
{
	print_number(p, sport, rule->sport);
	print_number(p, dport, rule->dport);
	/* multiport takes this as an abbreviation of its own --destination-ports. */
	if (rule->multiport.n > 0)
		print_option(p, dport, rule->multiport.text);
	if (rule->syn)
		print_word(p, rule->syn == OP_NOT ? "! --syn" : "--syn");
}

static void print_uid(const struct rule_printer *p, const struct match_uid *uid)
{
	if (uid->op == OP_ANY)
		return;
	print_option(p, match, "owner");
	print_word(p, uid->op == OP_NOT ? "! --uid-owner" : "--uid-owner");
	if (uid->text)
		print_word(p, uid->text);
	else if (uid->lo == uid->hi)
		strbuf_addf(p->out, " %u", uid->lo);
	else
		strbuf_addf(p->out, " %u:%u", uid->lo, uid->hi);
}

static void print_conntrack(const struct rule_printer *p, const struct rule *rule)
{
	if (rule->ctstate_invalid)
		print_option(p, match, "conntrack --ctstate INVALID");
	if (rule->orig_dport)
		print_option(p, match, "conntrack");
	print_net(p, &rule->orig_dst, orig_dst);
	print_number(p, orig_dport, rule->orig_dport);
}

static void print_verdict(const struct rule_printer *p, const struct verdict *verdict)
{
	if (verdict->kind != VERDICT_NONE)
		print_option(p, jump, verdict_target(verdict));
	if (verdict->kind == VERDICT_REDIRECT)
		strbuf_addf(p->out, " --to-ports %u", verdict->number);
	else if (verdict->kind == VERDICT_DNAT)
		strbuf_addf(p->out, " --to-destination :%u", verdict->number);
	else if (verdict->kind == VERDICT_REJECT)
		print_word(p, "--reject-with tcp-reset");
	else if (verdict->kind == VERDICT_CT_ZONE)
		strbuf_addf(p->out, " --zone %u", verdict->number);
	else if (verdict->kind == VERDICT_LOG)
		strbuf_addf(p->out, " --log-prefix %s --log-level %u", verdict->text,
			    verdict->number);
}

/* Quotes as Go's strconv.Quote() does; a character that the cut has split shows as \xNN. */
static void print_quoted(const struct rule_printer *p, const char *text)
{
	static const char escaped[] = "\a\b\f\n\r\t\v\"\\", letters[] = "abfnrtv\"\\";
	uint32_t code = 0;

	strbuf_addc(p->out, '"');
	for (size_t len; *text; text += len ? len : 1) {
		const char *found = strchr(escaped, *text);

		len = utf8_char(text, &code);
		if (found)
			strbuf_addf(p->out, "\\%c", letters[found - escaped]);
		else if (len == 0 || code < ' ' || code == 0x7f)
			strbuf_addf(p->out, "\\x%02x", (unsigned char)*text);
		else if (code >= 0x80 && code < 0xa0)
			strbuf_addf(p->out, "\\u%04x", code);
		else
			strbuf_add_len(p->out, text, len);
	}
	strbuf_addc(p->out, '"');
}

/*
 * The order is the reference's, which has one irregularity: addresses come before the protocol,
 * but the destination comes behind the outgoing interface where there is one.
 */
static void print_matches(const struct rule_printer *p, const struct rule *rule)
{
	print_net(p, &rule->src, src);
	if (!rule->oif)
		print_net(p, &rule->dst, dst);
	print_option(p, iif, rule->iif);
	print_proto(p, rule);
	print_ports(p, rule);
	print_option(p, oif, rule->oif);
	if (rule->oif)
		print_net(p, &rule->dst, dst);
	print_option(p, match, rule->local_dst ? "addrtype --dst-type LOCAL" : NULL);
	print_uid(p, &rule->uid);
	print_conntrack(p, rule);
}

void print_rule_arguments(const struct rule_printer *p, const struct rule *rule,
			  const struct rule_text *text)
{
	if (text->comment[0]) {
		print_option(p, match, "comment --comment ");
		print_quoted(p, text->comment);
	}
	print_matches(p, rule);
	print_verdict(p, &rule->verdict);
}

void print_rule(const struct rule_printer *p, const struct rule *rule, const struct rule_text *text)
{
	bool inserted = rule->position == POSITION_INSERT;

	strbuf_addf(p->out, "%s %s", (inserted ? insert : append)[p->verbose], p->chain);
	if (inserted)
		strbuf_addf(p->out, " %u", p->position);
	print_rule_arguments(p, rule, text);
}

/* The reference counts inserts per chain, from 1. */
static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct rule_printer *p = userdata;

	if (rule->position == POSITION_INSERT)
		p->position++;
	print_rule(p, rule, text);
	strbuf_addc(p->out, '\n');
	return 0;
}

static void print_new_chains(const struct ruleset *rules, const struct table_rules *table,
			     struct strbuf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++) {
		if (table->chains[i].builtin)
			continue;
		if (n++ == 0 && rules->verbose)
			strbuf_add(out, "# Custom Chains:\n");
		strbuf_addf(out, "%s %s\n", new_chain[rules->verbose], table->chains[i].name);
	}
	if (n > 0 && rules->verbose)
		strbuf_addc(out, '\n');
}

static void print_table(const struct ruleset *rules, enum table id, const struct table_rules *table,
			struct strbuf *out)
{
	const char *gap = rules->verbose ? "\n" : "";

	strbuf_addf(out, "* %s\n%s", table_name(id), gap);
	print_new_chains(rules, table, out);
	if (rules->verbose)
		strbuf_add(out, "# Rules:\n");
	for (size_t i = 0; i < table->n; i++) {
		struct rule_printer p = { out, rules->verbose, table->chains[i].name, 0 };

		(void)chain_visit(&table->chains[i], on_rule, &p);
	}
	strbuf_addf(out, "%sCOMMIT\n", gap);
}

void print_restore(const struct ruleset *rules, enum family family, struct strbuf *out)
{
	const struct family_rules *f = &rules->family[family];
	bool first = true;

	for (enum table table = 0; table < TABLE_COUNT; table++) {
		if (f->table[table].n == 0)
			continue;
		if (!first && rules->verbose)
			strbuf_addc(out, '\n');
		print_table(rules, table, &f->table[table], out);
		first = false;
	}
}

void print_dry_run(const struct ruleset *rules, struct strbuf *out)
{
	bool first = true;

	for (enum family family = 0; family < FAMILY_COUNT; family++) {
		if (!rules->family[family].enabled || rules->level == LEVEL_NONE)
			continue;
		strbuf_addf(out, "%s### %s ###\n\n", first ? "" : "\n", family_name(family));
		print_restore(rules, family, out);
		first = false;
	}
}

bool ruleset_equal(const struct ruleset *a, const struct ruleset *b)
{
	_strbuf_ struct strbuf of_a = { 0 }, of_b = { 0 };

	print_dry_run(a, &of_a);
	print_dry_run(b, &of_b);
	/* Where the address goes counts only while there is one. */
	return !of_a.failed && !of_b.failed &&
	       strcmp(strbuf_text(&of_a), strbuf_text(&of_b)) == 0 &&
	       a->loopback_v6 == b->loopback_v6 &&
	       (!a->loopback_v6 || strcmp(a->loopback, b->loopback) == 0);
}
