/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/recognise.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/array.h"

#define DNS_PORT 53

bool recognise_name(const char *chain)
{
	return strncmp(chain, KUMA_MESH_PREFIX, strlen(KUMA_MESH_PREFIX)) == 0;
}

/* What a rule has besides protocol, ports and target. */
enum having {
	HAS_SRC = 1 << 0,
	HAS_DST = 1 << 1,
	HAS_NOT_DST = 1 << 2,
	HAS_IIF = 1 << 3,
	HAS_OWNER = 1 << 4,
	HAS_NOT_OWNER = 1 << 5,
	HAS_MULTIPORT = 1 << 6,
	HAS_INVALID = 1 << 7,
};

/* Returns what the rule has, -1 for a rule that kumactl cannot have made without a comment. */
static int having(const struct shape *s)
{
	if (s->ours || s->other || s->src == OP_NOT)
		return -1;
	return (s->src == OP_IS ? HAS_SRC : 0) | (s->dst == OP_IS ? HAS_DST : 0) |
	       (s->dst == OP_NOT ? HAS_NOT_DST : 0) | (s->iif[0] ? HAS_IIF : 0) |
	       (s->owner == OP_IS ? HAS_OWNER : 0) | (s->owner == OP_NOT ? HAS_NOT_OWNER : 0) |
	       (s->multiport ? HAS_MULTIPORT : 0) | (s->invalid ? HAS_INVALID : 0);
}

static bool is(const struct shape *s, uint8_t proto, uint16_t dport, enum shape_target target,
	       int has)
{
	return having(s) == has && s->proto == proto && s->sport == 0 && s->dport == dport &&
	       s->target == target;
}

static bool of_user(const struct traces *t, const struct shape *s)
{
	return t->uid_known && s->uid_lo == t->uid && s->uid_hi == t->uid;
}

/* The user's requests, in zone 1. */
static bool is_zone_request(const struct shape *s)
{
	return is(s, IPPROTO_UDP, DNS_PORT, TARGET_ZONE, HAS_OWNER) && s->number == 1 &&
	       s->uid_lo == s->uid_hi;
}

/* The user's answers from the proxy's own port, in zone 2. */
static bool is_zone_answer(const struct shape *s)
{
	return having(s) == HAS_OWNER && s->proto == IPPROTO_UDP && s->sport && !s->dport &&
	       s->target == TARGET_ZONE && s->number == 2 && s->uid_lo == s->uid_hi;
}

/* What applications ask, of all servers or of one. */
static bool is_zone_all(const struct shape *s)
{
	return is(s, IPPROTO_UDP, DNS_PORT, TARGET_ZONE, 0) && s->number == 2;
}

static bool is_zone_server(const struct shape *s)
{
	return is(s, IPPROTO_UDP, DNS_PORT, TARGET_ZONE, HAS_DST) && s->number == 2;
}

/* Answers of a server on this host. */
static bool is_zone_local(const struct shape *s, const struct shape *server)
{
	return is(s, IPPROTO_UDP, 0, TARGET_ZONE, HAS_SRC | HAS_DST) && s->number == 1 &&
	       ip_is_loopback(&s->dst_net.addr) &&
	       ip_equal(&s->src_net.addr, &server->dst_net.addr);
}

void traces_learn_chain(struct traces *traces, const struct shape_list *rules)
{
	traces->guess = true;
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		traces->commented = traces->commented || s->commented;
		if (s->owner != OP_ANY && !traces->uid_known) {
			traces->uid_known = true;
			traces->uid = s->uid_lo;
		}
		for (size_t n = 0; s->target == TARGET_REDIRECT && n < ELEMENTS(traces->ports); n++)
			if (!traces->ports[n] || traces->ports[n] == s->number) {
				traces->ports[n] = s->number;
				break;
			}
	}
}

/* Where the zones of applications' requests begin: directly behind those of the user. (Istio has
 * those of a group in between.) */
static size_t find_zones(struct traces *traces, const struct shape_list *output)
{
	for (size_t i = 0; i + 2 < output->n; i++) {
		const struct shape *request = &output->items[i], *answer = request + 1;

		if (!is_zone_request(request) || !is_zone_answer(answer) ||
		    request->uid_lo != answer->uid_lo ||
		    (!is_zone_all(answer + 1) && !is_zone_server(answer + 1)))
			continue;
		if (!traces->uid_known) {
			traces->uid_known = true;
			traces->uid = request->uid_lo;
		}
		if (of_user(traces, request))
			return i + 2;
	}
	return output->n;
}

void traces_learn_raw(struct traces *traces, struct arena *arena, const struct shape_list *output)
{
	size_t i = traces->commented ? output->n : find_zones(traces, output);

	if (i == output->n)
		return;
	traces->guess = true;
	traces->zones = true;
	traces->zones_all = is_zone_all(&output->items[i]);
	for (; i < output->n && !traces->zones_all; i++) {
		const struct shape *s = &output->items[i];

		if (is_zone_server(s))
			array_push(arena, &traces->servers, s->dst_net.addr);
		else if (!is_zone_local(s, s - 1))
			break;
	}
}

/* A LOG for every packet. */
static const struct shape *find_log(const struct shape_list *rules, const char *prefix)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		if (is(s, 0, 0, TARGET_LOG, 0) && strcmp(s->prefix, prefix) == 0)
			return s;
	}
	return NULL;
}

void traces_learn_nat(struct traces *traces, const struct shape_list *prerouting,
		      const struct shape_list *output)
{
	const struct shape *in = find_log(prerouting, "PREROUTING:");
	const struct shape *out = find_log(output, "OUTPUT:");

	traces->log = in && out && in->number == out->number;
	traces->log_level = in ? in->number : 0;
	/* With outbound redirection disabled the chains name no user. */
	for (size_t i = 1; i < output->n && !traces->uid_known; i++) {
		const struct shape *s = &output->items[i - 1];

		if (!output->items[i].ours || s->uid_lo != s->uid_hi ||
		    !is(s, IPPROTO_TCP, DNS_PORT, TARGET_RETURN, HAS_NOT_OWNER))
			continue;
		traces->uid_known = true;
		traces->uid = s->uid_lo;
	}
}

static void recognise_raw_output(const struct traces *t, const struct shape_list *rules, bool *own)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i], *previous = i ? s - 1 : s;
		bool behind = i && own[i - 1];

		if ((is_zone_request(s) || is_zone_answer(s)) && of_user(t, s))
			own[i] = true;
		else if (behind && is_zone_all(s))
			own[i] = own[i] || previous->owner == OP_IS;
		else if (behind && is_zone_server(s))
			own[i] = own[i] || !is_zone_all(previous);
		else if (behind && is_zone_server(previous))
			own[i] = own[i] || is_zone_local(s, previous);
	}
}

static bool is_server(const struct traces *t, const struct ip_addr *addr)
{
	for (size_t i = 0; i < t->servers.n; i++)
		if (ip_equal(&t->servers.items[i], addr))
			return true;
	return false;
}

static void recognise_raw_prerouting(const struct traces *t, const struct shape_list *rules,
				     bool *own)
{
	for (size_t i = 0; i < rules->n && t->zones; i++) {
		const struct shape *s = &rules->items[i];
		int has = having(s);

		if (s->proto != IPPROTO_UDP || s->sport != DNS_PORT || s->dport ||
		    s->target != TARGET_ZONE || s->number != 1)
			continue;
		if ((has == 0 && t->zones_all) ||
		    (has == HAS_SRC && is_server(t, &s->src_net.addr)))
			own[i] = true;
	}
}

static void recognise_log(const struct traces *t, const char *prefix,
			  const struct shape_list *rules, bool *own)
{
	for (size_t i = 0; i < rules->n && t->log; i++) {
		const struct shape *s = &rules->items[i];

		if (is(s, 0, 0, TARGET_LOG, 0) && s->number == t->log_level &&
		    strcmp(s->prefix, prefix) == 0)
			own[i] = true;
	}
}

static bool is_own_port(const struct traces *t, uint16_t port)
{
	for (size_t i = 0; i < ELEMENTS(t->ports); i++)
		if (t->ports[i] && t->ports[i] == port)
			return true;
	return false;
}

/* DNS of an interface, and what goes from there to other than its own network. */
static bool is_vnet(const struct traces *t, const struct shape *dns, const struct shape *tcp)
{
	return is(dns, IPPROTO_UDP, DNS_PORT, TARGET_REDIRECT, HAS_IIF) &&
	       is(tcp, IPPROTO_TCP, 0, TARGET_REDIRECT, HAS_IIF | HAS_NOT_DST) &&
	       strcmp(dns->iif, tcp->iif) == 0 && is_own_port(t, tcp->number);
}

static void recognise_nat_prerouting(const struct traces *t, const struct shape_list *rules,
				     bool *own)
{
	for (size_t i = 0; i < rules->n; i++) {
		if (!rules->items[i].ours)
			continue;
		for (size_t n = i; n >= 2; n -= 2) {
			if (!is_vnet(t, &rules->items[n - 2], &rules->items[n - 1]))
				break;
			own[n - 2] = own[n - 1] = true;
		}
	}
}

static bool is_dns_start(const struct traces *t, const struct shape *s)
{
	return (is(s, IPPROTO_UDP, DNS_PORT, TARGET_RETURN, HAS_OWNER) ||
		is(s, IPPROTO_UDP, DNS_PORT, TARGET_DOCKER, HAS_OWNER)) &&
	       of_user(t, s);
}

/* Returns how many rules directly in front of that one are exclusions: UIDs, then addresses. */
static size_t count_exclusions(const struct shape_list *rules, size_t before)
{
	size_t i = before;

	while (i > 0 && is(&rules->items[i - 1], 0, 0, TARGET_RETURN, HAS_DST))
		i--;
	for (; i > 0; i--) {
		const struct shape *s = &rules->items[i - 1];
		uint8_t proto = s->proto == IPPROTO_TCP ? IPPROTO_TCP : IPPROTO_UDP;

		if (!is(s, proto, 0, TARGET_RETURN, HAS_MULTIPORT | HAS_OWNER) &&
		    !is(s, proto, 0, TARGET_RETURN, HAS_MULTIPORT))
			break;
	}
	return before - i;
}

/* The redirects of DNS requests: one for all servers, or one for each, all to one port. Returns
 * how many they are. */
static size_t count_redirects(const struct shape_list *rules, size_t first)
{
	size_t n = first;

	if (n < rules->n && is(&rules->items[n], IPPROTO_UDP, DNS_PORT, TARGET_REDIRECT, 0))
		return 1;
	while (n < rules->n && rules->items[n].number == rules->items[first].number &&
	       is(&rules->items[n], IPPROTO_UDP, DNS_PORT, TARGET_REDIRECT, HAS_DST))
		n++;
	return n - first;
}

static void mark(bool *own, size_t first, size_t n)
{
	memset(own + first, true, n);
}

static void recognise_nat_output(const struct traces *t, const struct shape_list *rules, bool *own)
{
	size_t jump = rules->n, n;
	bool dns = false;

	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		if (s->ours && jump == rules->n)
			jump = i;
		if (is(s, IPPROTO_TCP, DNS_PORT, TARGET_RETURN, HAS_NOT_OWNER) && of_user(t, s))
			own[i] = true;
		if (!is_dns_start(t, s))
			continue;
		dns = true;
		mark(own, i, 1 + count_redirects(rules, i + 1));
		n = count_exclusions(rules, i);
		mark(own, i - n, n);
	}
	if (dns || jump == rules->n)
		return;
	/* No block that they would be a part of: from the beginning to the jump, or not at all. */
	n = count_exclusions(rules, jump);
	if (n == jump || own[jump - n - 1])
		mark(own, jump - n, n);
}

void recognise(const struct traces *traces, enum table table, const char *chain,
	       const struct shape_list *rules, bool *own)
{
	bool output = strcmp(chain, "OUTPUT") == 0, prerouting = strcmp(chain, "PREROUTING") == 0;

	for (size_t i = 0; i < rules->n; i++)
		own[i] = own[i] || rules->items[i].ours;
	if (!traces->guess || traces->commented)
		return;
	if (table == TABLE_RAW && output)
		recognise_raw_output(traces, rules, own);
	if (table == TABLE_RAW && prerouting)
		recognise_raw_prerouting(traces, rules, own);
	if (table == TABLE_NAT && (output || prerouting))
		recognise_log(traces, output ? "OUTPUT:" : "PREROUTING:", rules, own);
	if (table == TABLE_NAT && prerouting)
		recognise_nat_prerouting(traces, rules, own);
	if (table == TABLE_NAT && output)
		recognise_nat_output(traces, rules, own);
}

void recognise_doubts(const struct traces *traces, enum table table, const char *chain,
		      const struct shape_list *rules, const bool *own, bool *doubt)
{
	bool output = strcmp(chain, "OUTPUT") == 0, prerouting = strcmp(chain, "PREROUTING") == 0;

	if (!traces->guess || traces->commented)
		return;
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		if (own[i])
			continue;
		if (table == TABLE_MANGLE && prerouting)
			doubt[i] = is(s, 0, 0, TARGET_DROP, HAS_INVALID);
		if (table == TABLE_NAT && output)
			doubt[i] = is(s, s->proto, 0, TARGET_RETURN, HAS_MULTIPORT | HAS_OWNER) ||
				   is(s, 0, 0, TARGET_RETURN, HAS_DST);
	}
}
