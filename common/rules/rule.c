/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/rule.h"

#include <stdio.h>
#include <string.h>

/* The kernel keeps 256 bytes; the reference cuts at 254, and rules are recognised by their text. */
#define COMMENT_CUT 254

_Static_assert(COMMENT_CUT < COMMENT_MAX, "a cut comment and its NUL fit");

/* Text that never exceeds the cut. */
struct comment {
	char *text;
	size_t len;
};

static void comment_add(struct comment *comment, const char *text, size_t len)
{
	if (len > COMMENT_CUT - comment->len)
		len = COMMENT_CUT - comment->len;
	memcpy(comment->text + comment->len, text, len);
	comment->len += len;
	comment->text[comment->len] = 0;
}

/* Puts prefix and text together, with words[0], words[1] for the first and the second "%s". */
/* NOLINTNEXTLINE(readability-non-const-parameter): written through comment.text. */
static void comment_print(char ret[static COMMENT_MAX], const char *text,
			  const char *const words[static 2])
{
	struct comment comment = { .text = ret };
	const char *mark;

	comment_add(&comment, COMMENT_PREFIX, strlen(COMMENT_PREFIX));
	for (size_t i = 0; i < 2 && words[i] && (mark = strstr(text, "%s")); i++) {
		comment_add(&comment, text, (size_t)(mark - text));
		comment_add(&comment, words[i], strlen(words[i]));
		text = mark + 2;
	}
	comment_add(&comment, text, strlen(text));
}

static struct match_net match_server(const struct ip_addr *addr, const char *text)
{
	return (struct match_net){
		.op = OP_IS,
		.net = { .addr = *addr, .len = addr->family == FAMILY_V4 ? 32 : 128 },
		.text = text,
	};
}

static struct match_net match_listed(const struct net *net, enum op op)
{
	return (struct match_net){ .op = op, .net = net->prefix, .text = net->text };
}

static void put_exclusion(struct rule *rule, const struct uid_exclusion *exclusion)
{
	rule->proto = exclusion->proto;
	rule->multiport = (struct match_multiport){
		.ranges = exclusion->ports,
		.n = exclusion->n_ports,
		.text = exclusion->ports_text,
	};
	rule->uid = (struct match_uid){
		.op = OP_IS,
		.lo = exclusion->uid_lo,
		.hi = exclusion->uid_hi,
		.text = exclusion->uids_text,
	};
}

/* Puts the n-th address where the kind of list says. */
static bool put_server(struct rule *rule, const struct each *each, size_t n, char *text)
{
	const struct ip_addr *addr = (const struct ip_addr *)each->items + n;

	ip_print(addr, text);
	if (each->kind == EACH_DST_SERVER)
		rule->dst = match_server(addr, text);
	else
		rule->src = match_server(addr, text);
	return each->kind != EACH_SRC_LOOPBACK_SERVER || ip_is_loopback(addr);
}

/* Puts the n-th element of a list into the rule, and what stands for it in a comment into words. */
static bool put_element(struct rule *rule, const struct each *each, size_t n,
			struct rule_text *text, const char *words[static 2])
{
	const struct vnet *vnet;
	const struct net *net;

	words[0] = text->element;
	switch (each->kind) {
	case EACH_NONE:
		words[0] = NULL;
		return true;
	case EACH_DPORT:
		rule->dport.op = OP_IS;
		rule->dport.port = ((const uint16_t *)each->items)[n];
		(void)snprintf(text->element, sizeof(text->element), "%u", rule->dport.port);
		return true;
	case EACH_SRC:
	case EACH_DST:
		net = (const struct net *)each->items + n;
		*(each->kind == EACH_SRC ? &rule->src : &rule->dst) = match_listed(net, OP_IS);
		words[0] = net->text;
		return true;
	case EACH_SRC_SERVER:
	case EACH_DST_SERVER:
	case EACH_SRC_LOOPBACK_SERVER:
		return put_server(rule, each, n, text->element);
	case EACH_UID:
		put_exclusion(rule, (const struct uid_exclusion *)each->items + n);
		words[0] = rule->uid.text;
		return true;
	case EACH_VNET_IIF:
	case EACH_VNET_IIF_NOT_DST:
		vnet = (const struct vnet *)each->items + n;
		rule->iif = (struct match_iface){ .op = OP_IS, .name = vnet->iface };
		if (each->kind == EACH_VNET_IIF_NOT_DST)
			rule->dst = match_listed(&vnet->net, OP_NOT);
		words[0] = vnet->iface;
		words[1] = vnet->net.text;
		return true;
	}
	return false;
}

size_t rule_count(const struct rule *rule)
{
	return rule->each.kind == EACH_NONE ? 1 : rule->each.n;
}

bool rule_at(const struct rule *rule, size_t n, struct rule *ret, struct rule_text *text)
{
	const char *words[2] = { NULL, NULL };
	struct rule expanded = *rule;

	text->comment[0] = 0;
	text->element[0] = 0;
	expanded.each = (struct each){ 0 };
	if (!put_element(&expanded, &rule->each, n, text, words))
		return false;
	if (rule->comment)
		comment_print(text->comment, rule->comment, words);
	*ret = expanded;
	return true;
}
