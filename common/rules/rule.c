/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/rule.h"

#include <stdio.h>
#include <string.h>

/* The kernel keeps 256 bytes; the reference cuts at 254, and rules are recognised by their text. */
#define COMMENT_CUT 254

_Static_assert(COMMENT_CUT < COMMENT_MAX, "a cut comment and its NUL fit");

const char *const verdict_names[VERDICT_COUNT] = {
	[VERDICT_NONE] = "",   [VERDICT_RETURN] = "RETURN",     [VERDICT_DROP] = "DROP",
	[VERDICT_JUMP] = NULL, [VERDICT_REDIRECT] = "REDIRECT", [VERDICT_CT_ZONE] = "CT",
	[VERDICT_LOG] = "LOG", [VERDICT_DNAT] = "DNAT",         [VERDICT_REJECT] = "REJECT",
};

const char *verdict_target(const struct verdict *verdict)
{
	return verdict->kind == VERDICT_JUMP ? verdict->text : verdict_names[verdict->kind];
}

/* Text that never exceeds the cut. */
static void comment_add(char comment[static COMMENT_MAX], const char *text, size_t len)
{
	size_t used = strlen(comment);

	if (len > COMMENT_CUT - used)
		len = COMMENT_CUT - used;
	memcpy(comment + used, text, len);
	comment[used + len] = 0;
}

/* Puts prefix and text together, with words[0], words[1] for the first and the second "%s". */
static void comment_print(char ret[static COMMENT_MAX], const char *text,
			  const char *const words[static 2])
{
	const char *mark;

	comment_add(ret, COMMENT_PREFIX, strlen(COMMENT_PREFIX));
	for (size_t i = 0; i < 2 && words[i] && (mark = strstr(text, "%s")); i++) {
		comment_add(ret, text, (size_t)(mark - text));
		comment_add(ret, words[i], strlen(words[i]));
		text = mark + 2;
	}
	comment_add(ret, text, strlen(text));
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

static struct match_net match_host(const struct ip_addr *addr, char text[static IP_TEXT_MAX])
{
	ip_print(addr, text);
	return (struct match_net){ OP_IS, { *addr, addr->family == FAMILY_V4 ? 32 : 128 }, text };
}

static void put_port(struct rule *rule, const struct each *each, size_t n, struct rule_text *text)
{
	uint16_t *port = each->kind == EACH_DPORT ? &rule->dport : &rule->orig_dport;

	*port = each->ports[n];
	(void)snprintf(text->element, sizeof(text->element), "%u", *port);
}

static void put_endpoint(struct rule *rule, const struct each *each, size_t n,
			 struct rule_text *text)
{
	const struct endpoint *endpoint = &each->endpoints[n];
	bool original = each->kind == EACH_ORIG_ENDPOINT;

	*(original ? &rule->orig_dst : &rule->dst) = match_host(&endpoint->addr, text->element);
	*(original ? &rule->orig_dport : &rule->dport) = endpoint->port;
}

/* Puts the n-th element of a list into the rule, and what stands for it in a comment into words. */
static bool put_element(struct rule *rule, const struct each *each, size_t n,
			struct rule_text *text, const char *words[static 2])
{
	const struct ip_addr *addr;
	const struct vnet *vnet;
	const struct net *net;

	words[0] = text->element;
	switch (each->kind) {
	case EACH_NONE:
		words[0] = NULL;
		return true;
	case EACH_DPORT:
	case EACH_ORIG_DPORT:
		put_port(rule, each, n, text);
		return true;
	case EACH_ENDPOINT:
	case EACH_ORIG_ENDPOINT:
		put_endpoint(rule, each, n, text);
		return true;
	case EACH_SRC:
	case EACH_DST:
		net = &each->nets[n];
		*(each->kind == EACH_SRC ? &rule->src : &rule->dst) =
			(struct match_net){ OP_IS, net->prefix, net->text };
		words[0] = net->text;
		return true;
	case EACH_SRC_SERVER:
	case EACH_DST_SERVER:
	case EACH_SRC_LOOPBACK_SERVER:
		addr = &each->addresses[n];
		*(each->kind == EACH_DST_SERVER ? &rule->dst : &rule->src) =
			match_host(addr, text->element);
		return each->kind != EACH_SRC_LOOPBACK_SERVER || ip_is_loopback(addr);
	case EACH_UID:
		put_exclusion(rule, &each->exclusions[n]);
		words[0] = rule->uid.text;
		return true;
	case EACH_VNET_IIF:
	case EACH_VNET_IIF_NOT_DST:
		vnet = &each->vnets[n];
		rule->iif = words[0] = vnet->iface;
		words[1] = vnet->net.text;
		if (each->kind == EACH_VNET_IIF_NOT_DST)
			rule->dst = (struct match_net){ OP_NOT, vnet->net.prefix, vnet->net.text };
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

	text->comment[0] = 0;
	text->element[0] = 0;
	*ret = *rule;
	ret->listed = rule->each.kind != EACH_NONE;
	ret->each = (struct each){ 0 };
	if (!put_element(ret, &rule->each, n, text, words))
		return false;
	if (rule->comment)
		comment_print(text->comment, rule->comment, words);
	return true;
}
