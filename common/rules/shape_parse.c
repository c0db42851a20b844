/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/shape_parse.h"

#include <netinet/in.h>
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

static uint16_t small_number(struct parser *p)
{
	return (uint16_t)number(p, argument(p), UINT16_MAX);
}

/* Notes that it is so; anything else is nothing of kumactl's. */
static void only(struct parser *p, bool *ret, bool so)
{
	if (ret)
		*ret = so;
	if (!so)
		p->shape->other = true;
}

static void word(struct parser *p, char *ret, size_t size)
{
	const char *text = argument(p);

	if (strlen(text) >= size)
		p->shape->other = true;
	else
		memcpy(ret, text, strlen(text) + 1);
}

static void net(struct parser *p, enum op *ret_op, struct ip_prefix *ret_net)
{
	*ret_op = p->negated ? OP_NOT : OP_IS;
	if (!ip_prefix_parse(argument(p), ret_net))
		p->shape->other = true;
}

/* "1000", or "106-108". */
static void uids(struct parser *p)
{
	const char *text = argument(p);
	size_t len = strcspn(text, "-");
	char lo[16] = "";

	if (len < sizeof(lo))
		memcpy(lo, text, len);
	p->shape->owner = p->negated ? OP_NOT : OP_IS;
	p->shape->uid_lo = (uint32_t)number(p, lo, UINT32_MAX);
	p->shape->uid_hi =
		text[len] ? (uint32_t)number(p, text + len + 1, UINT32_MAX) : p->shape->uid_lo;
}

static void proto(struct parser *p)
{
	const char *name = argument(p);

	if (strcmp(name, "tcp") == 0)
		p->shape->proto = IPPROTO_TCP;
	else if (strcmp(name, "udp") == 0)
		p->shape->proto = IPPROTO_UDP;
	else
		p->shape->other = true;
}

/* Each kind of match is followed by options that say what it matches. */
static bool known_match(const char *name)
{
	static const char *const known[] = { "tcp",   "udp",     "multiport",
					     "owner", "comment", "conntrack" };

	for (size_t i = 0; i < ELEMENTS(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return false;
}

static void target(struct parser *p)
{
	p->target = argument(p);
	shape_target(p->shape, p->target);
	/* Without --log-level. */
	if (p->shape->target == VERDICT_LOG)
		p->shape->number = 4;
}

/* Options that kumactl uses with "!" as well. */
static bool option_or_not(struct parser *p, const char *name)
{
	if (strcmp(name, "-s") == 0)
		net(p, &p->shape->src, &p->shape->src_net);
	else if (strcmp(name, "-d") == 0)
		net(p, &p->shape->dst, &p->shape->dst_net);
	else if (strcmp(name, "--uid-owner") == 0)
		uids(p);
	else
		return false;
	return true;
}

/* False for what kumactl never uses. */
static bool option(struct parser *p, const char *name)
{
	struct shape *s = p->shape;

	if (strcmp(name, "-p") == 0)
		proto(p);
	else if (strcmp(name, "-i") == 0)
		word(p, s->iif, sizeof(s->iif));
	else if (strcmp(name, "-m") == 0)
		only(p, NULL, known_match(argument(p)));
	else if (strcmp(name, "--sport") == 0)
		s->sport = small_number(p);
	else if (strcmp(name, "--dport") == 0)
		s->dport = small_number(p);
	else if (strcmp(name, "--dports") == 0)
		s->multiport = argument(p)[0] != '\0';
	else if (strcmp(name, "--ctstate") == 0)
		only(p, &s->invalid, strcmp(argument(p), "INVALID") == 0);
	else if (strcmp(name, "--comment") == 0)
		only(p, &s->commented, mesh_comment(argument(p)));
	else if (strcmp(name, "-j") == 0 || strcmp(name, "--jump") == 0)
		target(p);
	else if (strcmp(name, "--to-ports") == 0 || strcmp(name, "--zone") == 0 ||
		 strcmp(name, "--log-level") == 0)
		s->number = small_number(p);
	else if (strcmp(name, "--log-prefix") == 0)
		word(p, s->prefix, sizeof(s->prefix));
	else
		return false;
	return true;
}

void shape_parse(const char *const *words, size_t n, struct shape *ret, const char **ret_target)
{
	struct parser p = { .words = words, .n = n, .shape = ret, .target = "" };

	*ret = (struct shape){ 0 };
	while (p.at < n) {
		const char *name = words[p.at++];

		if (strcmp(name, "!") == 0) {
			p.negated = true;
			continue;
		}
		if (strcmp(name, "-g") == 0 || strcmp(name, "--goto") == 0)
			p.target = argument(&p);
		/* Nothing of kumactl's has one of the second kind with "!". */
		if (!option_or_not(&p, name) && (!option(&p, name) || p.negated))
			ret->other = true;
		p.negated = false;
	}
	ret->ours = ret->commented || mesh_chain(p.target);
	*ret_target = p.target;
}
