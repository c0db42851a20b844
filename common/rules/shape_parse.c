/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/shape_parse.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/parse.h"

size_t words_split(char *line, char **ret_words, size_t max)
{
	size_t n = 0;

	for (;;) {
		char *out;
		bool quoted = false;

		line += strspn(line, " \t");
		if (!*line)
			return n;
		if (n == max)
			return max + 1;
		ret_words[n++] = out = line;
		for (; *line && (quoted || (*line != ' ' && *line != '\t')); line++) {
			if (*line == '"') {
				quoted = !quoted;
				continue;
			}
			if (*line == '\\' && quoted && line[1])
				line++;
			*out++ = *line;
		}
		if (*line)
			line++;
		*out = '\0';
	}
}

struct parser {
	char *const *words;
	size_t n, at;
	enum op op; /* of the option that is being read */
	struct shape *shape;
	const char *target;
};

static const char *argument(struct parser *p)
{
	if (p->at < p->n)
		return p->words[p->at++];
	p->shape->other = true;
	return "";
}

static uint64_t number(struct parser *p, const char *text, uint64_t max)
{
	uint64_t value = 0;

	if (!parse_decimal(text, max, &value))
		p->shape->other = true;
	return value;
}

/* Nothing of kumactl's has this option with "!". */
static void never_negated(struct parser *p)
{
	if (p->op == OP_NOT)
		p->shape->other = true;
}

static void on_proto(struct parser *p)
{
	const char *name = argument(p);

	never_negated(p);
	if (strcmp(name, "tcp") == 0)
		p->shape->proto = IPPROTO_TCP;
	else if (strcmp(name, "udp") == 0)
		p->shape->proto = IPPROTO_UDP;
	else
		p->shape->other = true;
}

static void net(struct parser *p, enum op *ret_op, struct ip_prefix *ret_net)
{
	*ret_op = p->op;
	if (!ip_prefix_parse(argument(p), ret_net))
		p->shape->other = true;
}

static void on_source(struct parser *p)
{
	net(p, &p->shape->src, &p->shape->src_net);
}

static void on_destination(struct parser *p)
{
	net(p, &p->shape->dst, &p->shape->dst_net);
}

static void on_iif(struct parser *p)
{
	const char *name = argument(p);

	never_negated(p);
	if (strlen(name) >= sizeof(p->shape->iif))
		p->shape->other = true;
	else
		memcpy(p->shape->iif, name, strlen(name) + 1);
}

/* Each kind of match is followed by options that say what it matches. */
static void on_match(struct parser *p)
{
	static const char *const known[] = { "tcp",   "udp",     "multiport",
					     "owner", "comment", "conntrack" };
	const char *name = argument(p);

	for (size_t i = 0; i < ELEMENTS(known); i++)
		if (strcmp(name, known[i]) == 0)
			return;
	p->shape->other = true;
}

static void on_sport(struct parser *p)
{
	never_negated(p);
	p->shape->sport = (uint16_t)number(p, argument(p), UINT16_MAX);
}

static void on_dport(struct parser *p)
{
	never_negated(p);
	p->shape->dport = (uint16_t)number(p, argument(p), UINT16_MAX);
}

static void on_dports(struct parser *p)
{
	never_negated(p);
	(void)argument(p);
	p->shape->multiport = true;
}

/* "1000", or "106-108". */
static void on_uid(struct parser *p)
{
	const char *text = argument(p);
	size_t len = strcspn(text, "-");
	char lo[16] = "";

	if (len < sizeof(lo))
		memcpy(lo, text, len);
	p->shape->owner = p->op;
	p->shape->uid_lo = (uint32_t)number(p, lo, UINT32_MAX);
	p->shape->uid_hi =
		text[len] ? (uint32_t)number(p, text + len + 1, UINT32_MAX) : p->shape->uid_lo;
}

static void on_state(struct parser *p)
{
	never_negated(p);
	if (strcmp(argument(p), "INVALID") == 0)
		p->shape->invalid = true;
	else
		p->shape->other = true;
}

static void on_comment(struct parser *p)
{
	if (mesh_comment(argument(p)))
		p->shape->commented = true;
	else
		p->shape->other = true;
}

static void on_target(struct parser *p)
{
	p->target = argument(p);
	shape_target(p->shape, p->target);
	/* Without --log-level. */
	if (p->shape->target == TARGET_LOG)
		p->shape->number = 4;
}

static void on_goto(struct parser *p)
{
	p->target = argument(p);
	p->shape->other = true;
}

static void on_number(struct parser *p)
{
	p->shape->number = (uint16_t)number(p, argument(p), UINT16_MAX);
}

static void on_prefix(struct parser *p)
{
	const char *prefix = argument(p);

	if (strlen(prefix) >= sizeof(p->shape->prefix))
		p->shape->other = true;
	else
		memcpy(p->shape->prefix, prefix, strlen(prefix) + 1);
}

static const struct {
	const char *name;
	void (*read)(struct parser *p);
} options[] = {
	{ "-p", on_proto },
	{ "-s", on_source },
	{ "-d", on_destination },
	{ "-i", on_iif },
	{ "-m", on_match },
	{ "--sport", on_sport },
	{ "--dport", on_dport },
	{ "--dports", on_dports },
	{ "--uid-owner", on_uid },
	{ "--comment", on_comment },
	{ "-j", on_target },
	{ "-g", on_goto },
	{ "--to-ports", on_number },
	{ "--zone", on_number },
	{ "--ctstate", on_state },
	{ "--log-level", on_number },
	{ "--log-prefix", on_prefix },
};

void shape_parse(char *const *words, size_t n, struct shape *ret, const char **ret_target)
{
	struct parser p = { .words = words, .n = n, .op = OP_IS, .shape = ret, .target = "" };

	*ret = (struct shape){ 0 };
	while (p.at < n) {
		const char *word = words[p.at++];
		size_t i = 0;

		if (strcmp(word, "!") == 0) {
			p.op = OP_NOT;
			continue;
		}
		while (i < ELEMENTS(options) && strcmp(options[i].name, word) != 0)
			i++;
		if (i < ELEMENTS(options))
			options[i].read(&p);
		else
			ret->other = true;
		p.op = OP_IS;
	}
	ret->ours = ret->commented || mesh_chain(p.target);
	*ret_target = p.target;
}
