/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/shape_parse.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "common/base/parse.h"

size_t words_split(char *line, const char **ret_words, size_t max)
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
	const char *const *words;
	size_t n, at;
	bool negated; /* the option that is being read */
	struct shape *shape;
};

static const char *argument(struct parser *p)
{
	if (p->at < p->n)
		return p->words[p->at++];
	p->shape->other = true;
	return "";
}

/* Anything else than what is so is nothing of kumactl's. */
static void only(struct parser *p, bool so)
{
	p->shape->other = p->shape->other || !so;
}

static uint32_t number(struct parser *p, const char *text, uint32_t max)
{
	uint64_t value = 0;

	only(p, parse_decimal(text, max, &value));
	return (uint32_t)value;
}

static uint16_t small_number(struct parser *p)
{
	return (uint16_t)number(p, argument(p), UINT16_MAX);
}

static void word(struct parser *p, char ret[static SHAPE_TEXT])
{
	const char *text = argument(p);

	only(p, strlen(text) < SHAPE_TEXT);
	(void)snprintf(ret, SHAPE_TEXT, "%s", text);
}

/* For an option that kumactl uses with "!" as well. */
static enum op negation(struct parser *p)
{
	enum op op = p->negated ? OP_NOT : OP_IS;

	p->negated = false;
	return op;
}

static void net(struct parser *p, struct match_net *ret)
{
	ret->op = negation(p);
	only(p, ip_prefix_parse(argument(p), &ret->net));
}

/* "1000", or "106-108". */
static void uids(struct parser *p, struct match_uid *ret)
{
	const char *text = argument(p);
	size_t len = strcspn(text, "-");
	char lo[16] = "";

	if (len < sizeof(lo))
		memcpy(lo, text, len);
	ret->op = negation(p);
	ret->lo = number(p, lo, UINT32_MAX);
	ret->hi = text[len] ? number(p, text + len + 1, UINT32_MAX) : ret->lo;
}

static bool listed(const char *name, const char *const *names)
{
	while (*names && strcmp(name, *names) != 0)
		names++;
	return *names;
}

static void proto(struct parser *p)
{
	const char *name = argument(p);

	if (strcmp(name, "tcp") == 0)
		p->shape->proto = IPPROTO_TCP;
	else if (strcmp(name, "udp") == 0)
		p->shape->proto = IPPROTO_UDP;
	only(p, p->shape->proto);
}

static void jump(struct parser *p)
{
	shape_target(p->shape, argument(p));
	/* Without --log-level. */
	if (p->shape->target == VERDICT_LOG)
		p->shape->number = 4;
}

static void option(struct parser *p, const char *name)
{
	/* Each kind of match is followed by options that say what it matches. */
	static const char *const kinds[] = { "tcp",     "udp",       "multiport", "owner",
					     "comment", "conntrack", NULL };
	static const char *const numbers[] = { "--to-ports", "--zone", "--log-level", NULL };
	struct shape *s = p->shape;

	if (strcmp(name, "-s") == 0)
		net(p, &s->src);
	else if (strcmp(name, "-d") == 0)
		net(p, &s->dst);
	else if (strcmp(name, "--uid-owner") == 0)
		uids(p, &s->uid);
	else if (strcmp(name, "-p") == 0)
		proto(p);
	else if (strcmp(name, "-i") == 0)
		word(p, s->iif);
	else if (strcmp(name, "-m") == 0)
		only(p, listed(argument(p), kinds));
	else if (strcmp(name, "--sport") == 0)
		s->sport = small_number(p);
	else if (strcmp(name, "--dport") == 0)
		s->dport = small_number(p);
	else if (strcmp(name, "--dports") == 0)
		s->multiport = argument(p)[0] != '\0';
	else if (strcmp(name, "--ctstate") == 0)
		only(p, s->invalid = strcmp(argument(p), "INVALID") == 0);
	else if (strcmp(name, "--comment") == 0)
		only(p, s->commented = mesh_comment(argument(p)));
	else if (strcmp(name, "-j") == 0 || strcmp(name, "--jump") == 0)
		jump(p);
	else if (listed(name, numbers))
		s->number = small_number(p);
	else if (strcmp(name, "--log-prefix") == 0)
		word(p, s->prefix);
	else
		s->other = true;
	/* Nothing of kumactl's has another one with "!". */
	only(p, !p->negated);
}

void shape_parse(const char *const *words, size_t n, struct shape *ret)
{
	struct parser p = { .words = words, .n = n, .shape = ret };

	*ret = (struct shape){ .name = "" };
	while (p.at < n) {
		const char *name = words[p.at++];

		p.negated = strcmp(name, "!") == 0 && p.at < n;
		if (p.negated)
			name = words[p.at++];
		option(&p, name);
		if (strcmp(name, "-g") == 0 || strcmp(name, "--goto") == 0)
			ret->name = argument(&p);
	}
	ret->ours = ret->commented || mesh_chain(ret->name);
}
