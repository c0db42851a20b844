/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/print_restore.h"

#include <netinet/in.h>
#include <string.h>

/* Every option in its short and its long form; the reference's "verbose" asks for the second. */
enum option {
	OPTION_APPEND,
	OPTION_INSERT,
	OPTION_NEW_CHAIN,
	OPTION_SRC,
	OPTION_DST,
	OPTION_IIF,
	OPTION_OIF,
	OPTION_PROTO,
	OPTION_MATCH,
	OPTION_SPORT,
	OPTION_DPORT,
	OPTION_JUMP,
	OPTION_COUNT,
};

static const char *const options[OPTION_COUNT][2] = {
	[OPTION_APPEND] = { "-A", "--append" },
	[OPTION_INSERT] = { "-I", "--insert" },
	[OPTION_NEW_CHAIN] = { "-N", "--new-chain" },
	[OPTION_SRC] = { "-s", "--source" },
	[OPTION_DST] = { "-d", "--destination" },
	[OPTION_IIF] = { "-i", "--in-interface" },
	[OPTION_OIF] = { "-o", "--out-interface" },
	[OPTION_PROTO] = { "-p", "--protocol" },
	[OPTION_MATCH] = { "-m", "--match" },
	[OPTION_SPORT] = { "--sport", "--source-port" },
	[OPTION_DPORT] = { "--dport", "--destination-port" },
	[OPTION_JUMP] = { "-j", "--jump" },
};

/* Where to print, and how. */
struct printer {
	struct strbuf *out;
	bool verbose;
};

static void print_word(const struct printer *p, const char *word)
{
	strbuf_addc(p->out, ' ');
	strbuf_add(p->out, word);
}

static void print_option(const struct printer *p, enum option option)
{
	print_word(p, options[option][p->verbose]);
}

static void print_match(const struct printer *p, const char *name)
{
	print_option(p, OPTION_MATCH);
	print_word(p, name);
}

/* Prints the option, or its negation, with a value; nothing for OP_ANY. */
static void print_op(const struct printer *p, enum op op, enum option option, const char *value)
{
	if (op == OP_ANY)
		return;
	if (op == OP_NOT)
		print_word(p, "!");
	print_option(p, option);
	print_word(p, value);
}

static void print_net(const struct printer *p, const struct match_net *net, enum option option)
{
	char text[IP_TEXT_MAX];

	if (net->op != OP_ANY && !net->text)
		ip_prefix_print(&net->net, text);
	print_op(p, net->op, option, net->text ? net->text : text);
}

static void print_port(const struct printer *p, const struct match_port *port, enum option option)
{
	if (port->op == OP_ANY)
		return;
	if (port->op == OP_NOT)
		print_word(p, "!");
	print_option(p, option);
	strbuf_addf(p->out, " %u", port->port);
}

static void print_proto(const struct printer *p, const struct rule *rule)
{
	if (rule->multiport.n > 0)
		print_match(p, "multiport");
	if (rule->udp_match)
		print_match(p, "udp");
	if (rule->proto != 0) {
		print_option(p, OPTION_PROTO);
		if (rule->proto == IPPROTO_TCP)
			print_word(p, "tcp");
		else if (rule->proto == IPPROTO_UDP)
			print_word(p, "udp");
		else
			strbuf_addf(p->out, " %u", rule->proto);
	}
}

static void print_ports(const struct printer *p, const struct rule *rule)
{
	const struct match_multiport *multiport = &rule->multiport;

	print_port(p, &rule->sport, OPTION_SPORT);
	print_port(p, &rule->dport, OPTION_DPORT);
	if (multiport->n > 0) {
		/* multiport takes this as an abbreviation of its own --destination-ports. */
		print_option(p, OPTION_DPORT);
		print_word(p, multiport->text);
	}
	if (rule->not_syn)
		print_word(p, "! --syn");
}

static void print_uid(const struct printer *p, const struct match_uid *uid)
{
	if (uid->op == OP_ANY)
		return;
	print_match(p, "owner");
	if (uid->op == OP_NOT)
		print_word(p, "!");
	print_word(p, "--uid-owner");
	if (uid->text)
		print_word(p, uid->text);
	else if (uid->lo == uid->hi)
		strbuf_addf(p->out, " %u", uid->lo);
	else
		strbuf_addf(p->out, " %u:%u", uid->lo, uid->hi);
}

static void print_verdict(const struct printer *p, const struct verdict *verdict)
{
	if (verdict->kind == VERDICT_NONE)
		return;
	print_option(p, OPTION_JUMP);
	switch (verdict->kind) {
	case VERDICT_RETURN:
		print_word(p, "RETURN");
		return;
	case VERDICT_DROP:
		print_word(p, "DROP");
		return;
	case VERDICT_JUMP:
		print_word(p, verdict->text);
		return;
	case VERDICT_REDIRECT:
		strbuf_addf(p->out, " REDIRECT --to-ports %u", verdict->number);
		return;
	case VERDICT_CT_ZONE:
		strbuf_addf(p->out, " CT --zone %u", verdict->number);
		return;
	case VERDICT_LOG:
		strbuf_addf(p->out, " LOG --log-prefix %s --log-level %u", verdict->text,
			    verdict->number);
		return;
	case VERDICT_NONE:
		return;
	}
}

/* How many bytes at s are one well-formed UTF-8 character (RFC 3629); 0: none are. */
static size_t utf8_len(const unsigned char *s)
{
	/* clang-format off */
	static const struct {
		unsigned char lo, hi;           /* the first byte */
		unsigned char next_lo, next_hi; /* the second */
		size_t len;
	} forms[] = {
		{ 0x00, 0x7f, 0,    0,    1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ELEMENTS(forms); i++) {
		if (s[0] < forms[i].lo || s[0] > forms[i].hi)
			continue;
		if (forms[i].len > 1 && (s[1] < forms[i].next_lo || s[1] > forms[i].next_hi))
			return 0;
		for (size_t k = 2; k < forms[i].len; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].len;
	}
	return 0;
}

/* The letter behind the backslash in Go's escape for a byte; 0: it has none. */
static char escape_letter(unsigned char byte)
{
	static const char bytes[] = "\a\b\f\n\r\t\v\"\\";
	static const char letters[] = "abfnrtv\"\\";
	const char *found = byte != 0 ? strchr(bytes, byte) : NULL;

	if (!found)
		return 0;
	return letters[found - bytes];
}

/* Quotes as Go's strconv.Quote() does; a character that the cut has split shows as \xNN. */
static void print_quoted(const struct printer *p, const char *text)
{
	strbuf_addc(p->out, '"');
	while (*text) {
		const unsigned char *s = (const unsigned char *)text;
		size_t len = utf8_len(s);
		char letter = escape_letter(*s);

		if (letter != 0)
			strbuf_addf(p->out, "\\%c", letter);
		else if (len == 0 || *s < ' ' || *s == 0x7f)
			strbuf_addf(p->out, "\\x%02x", *s);
		else if (*s == 0xc2 && s[1] < 0xa0)
			strbuf_addf(p->out, "\\u%04x", s[1]);
		else
			strbuf_add_len(p->out, text, len);
		text += len > 0 ? len : 1;
	}
	strbuf_addc(p->out, '"');
}

/*
 * The order is the reference's, which has one irregularity: addresses come before the protocol,
 * but the destination comes behind the outgoing interface where there is one.
 */
static void print_arguments(const struct printer *p, const struct rule *rule)
{
	bool oif = rule->oif.op != OP_ANY;

	print_net(p, &rule->src, OPTION_SRC);
	if (!oif)
		print_net(p, &rule->dst, OPTION_DST);
	print_op(p, rule->iif.op, OPTION_IIF, rule->iif.name);
	print_proto(p, rule);
	print_ports(p, rule);
	print_op(p, rule->oif.op, OPTION_OIF, rule->oif.name);
	if (oif)
		print_net(p, &rule->dst, OPTION_DST);
	print_uid(p, &rule->uid);
	if (rule->ctstate_invalid) {
		print_match(p, "conntrack");
		print_word(p, "--ctstate INVALID");
	}
	print_verdict(p, &rule->verdict);
}

void print_rule_arguments(bool verbose, const struct rule *rule, const struct rule_text *text,
			  struct strbuf *out)
{
	const struct printer p = { .out = out, .verbose = verbose };

	if (text->comment[0]) {
		print_match(&p, "comment");
		print_word(&p, "--comment ");
		print_quoted(&p, text->comment);
	}
	print_arguments(&p, rule);
}

void print_rule(const struct rule_line *line, const struct rule *rule, const struct rule_text *text,
		struct strbuf *out)
{
	enum option command = rule->position == POSITION_INSERT ? OPTION_INSERT : OPTION_APPEND;

	strbuf_addf(out, "%s %s", options[command][line->verbose], line->chain);
	if (command == OPTION_INSERT)
		strbuf_addf(out, " %u", line->position);
	print_rule_arguments(line->verbose, rule, text, out);
}

/* One chain on its way out. The reference counts inserts per chain, from 1. */
struct chain_printer {
	struct rule_line line;
	struct strbuf *out;
};

static int on_rule(const struct rule *rule, const struct rule_text *text, void *userdata)
{
	struct chain_printer *p = userdata;

	if (rule->position == POSITION_INSERT)
		p->line.position++;
	print_rule(&p->line, rule, text, p->out);
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
		strbuf_addf(out, "%s %s\n", options[OPTION_NEW_CHAIN][rules->verbose],
			    table->chains[i].name);
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
		struct chain_printer p = {
			.line = { .verbose = rules->verbose, .chain = table->chains[i].name },
			.out = out,
		};

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
