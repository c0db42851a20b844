/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/recognise.h"

#include <netinet/in.h>
#include <string.h>

#include "common/base/array.h"

void shape_target(struct shape *shape, const char *name)
{
	for (enum verdict_kind kind = VERDICT_NONE; kind < VERDICT_COUNT; kind++)
		if (strcmp(name, verdict_names[kind] ? verdict_names[kind] : DOCKER_OUTPUT) == 0)
			shape->target = kind;
	shape->name = name;
}

/* A rule without a comment that kumactl makes: what it has, and by zero what it has not. */
struct pattern {
	uint8_t proto;
	uint16_t dport;
	enum op owner, src, dst;
	bool one_user; /* and no range of them */
	/* in this order gcc 12's analyzer can follow matches() */
	bool multiport, iif, invalid;
	bool sport; /* whichever it is */
	enum verdict_kind target;
	uint16_t number; /* 0: whichever it is */
};

static bool matches(const struct shape *s, const struct pattern *p)
{
	return !s->ours && !s->other && s->proto == p->proto && s->dport == p->dport &&
	       s->src.op == p->src && s->dst.op == p->dst && s->uid.op == p->owner &&
	       (!p->one_user || s->uid.lo == s->uid.hi) && (s->iif[0] != '\0') == p->iif &&
	       s->multiport == p->multiport && s->invalid == p->invalid &&
	       (s->sport != 0) == p->sport && s->target == p->target &&
	       (p->number == 0 || s->number == p->number);
}

static bool of_user(const struct traces *t, const struct shape *s)
{
	return t->uid_known && s->uid.lo == t->uid && s->uid.hi == t->uid;
}

#define UDP          .proto = IPPROTO_UDP
#define TCP          .proto = IPPROTO_TCP
#define ONE(op)      .owner = (op), .one_user = true
#define TO_DNS       .dport = DNS_PORT
#define INTO_ZONE(n) .target = VERDICT_CT_ZONE, .number = (n)
#define SERVERS      INTO_ZONE(ZONE_SERVERS)
#define APPLICATIONS INTO_ZONE(ZONE_APPLICATIONS)
#define TO(verdict)  .target = VERDICT_##verdict

/* clang-format off */
static const struct pattern
	/* raw: what the user asks, and what it answers from the proxy's own port */
	zone_request       = { UDP, TO_DNS, ONE(OP_IS), SERVERS },
	zone_answer        = { UDP, .sport = true, ONE(OP_IS), APPLICATIONS },
	/* what others ask without a redirect; tproxyd's own, directly in front of that */
	zone_direct        = { UDP, .multiport = true, .owner = OP_IS, SERVERS },
	/* what applications ask, of all servers or of one */
	zone_all           = { UDP, TO_DNS, APPLICATIONS },
	zone_server        = { UDP, TO_DNS, .dst = OP_IS, APPLICATIONS },
	/* what servers answer, all or one; one on this host, whose port a DNAT may have changed */
	zone_answer_all    = { UDP, .sport = true, SERVERS },
	zone_answer_server = { UDP, .sport = true, .src = OP_IS, SERVERS },
	zone_local         = { UDP, .src = OP_IS, .dst = OP_IS, SERVERS },
	/* nat: a virtual network's DNS, and what goes from it to other than its own network */
	vnet_dns           = { UDP, TO_DNS, .iif = true, TO(REDIRECT) },
	vnet_tcp           = { TCP, .iif = true, .dst = OP_NOT, TO(REDIRECT) },
	/* the user's DNS goes as it is, to Docker's own chain where there is one */
	dns_direct         = { UDP, TO_DNS, .owner = OP_IS, TO(RETURN) },
	dns_docker         = { UDP, TO_DNS, .owner = OP_IS, TO(JUMP) },
	/* so does DNS over TCP of all others */
	dns_tcp            = { TCP, TO_DNS, ONE(OP_NOT), TO(RETURN) },
	/* the redirects of DNS: of all, or to one server */
	dns_all            = { UDP, TO_DNS, TO(REDIRECT) },
	dns_server         = { UDP, TO_DNS, .dst = OP_IS, TO(REDIRECT) },
	excluded_address   = { .dst = OP_IS, TO(RETURN) },
	/* ports of some users, or of all */
	excluded_udp       = { UDP, .multiport = true, .owner = OP_IS, TO(RETURN) },
	excluded_tcp       = { TCP, .multiport = true, .owner = OP_IS, TO(RETURN) },
	excluded_udp_all   = { UDP, .multiport = true, TO(RETURN) },
	excluded_tcp_all   = { TCP, .multiport = true, TO(RETURN) },
	log_all            = { TO(LOG) },
	/* mangle */
	drop_invalid       = { .invalid = true, TO(DROP) };
/* clang-format on */

static bool is_excluded_of_some(const struct shape *s)
{
	return matches(s, &excluded_udp) || matches(s, &excluded_tcp);
}

static bool is_excluded(const struct shape *s)
{
	return is_excluded_of_some(s) || matches(s, &excluded_udp_all) ||
	       matches(s, &excluded_tcp_all);
}

static bool is_local_answer(const struct shape *s, const struct shape *server)
{
	return matches(s, &zone_local) && ip_is_loopback(&s->dst.net.addr) &&
	       ip_equal(&s->src.net.addr, &server->dst.net.addr);
}

static void learn_uid(struct traces *traces, const struct shape *s)
{
	if (!traces->uid_known)
		traces->uid = s->uid.lo;
	traces->uid_known = true;
}

void traces_learn_chain(struct traces *traces, const struct shape_list *rules)
{
	traces->guess = true;
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		traces->commented = traces->commented || s->commented;
		if (s->uid.op != OP_ANY)
			learn_uid(traces, s);
		for (size_t n = 0; s->target == VERDICT_REDIRECT && n < ELEMENTS(traces->ports);
		     n++)
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

		if (!matches(request, &zone_request) || !matches(answer, &zone_answer) ||
		    request->uid.lo != answer->uid.lo ||
		    (!matches(answer + 1, &zone_all) && !matches(answer + 1, &zone_server)))
			continue;
		learn_uid(traces, request);
		if (of_user(traces, request))
			return i + 2;
	}
	return output->n;
}

static void learn_raw(struct traces *traces, struct arena *arena, const struct shape_list *output)
{
	size_t i = traces->commented ? output->n : find_zones(traces, output);

	if (i == output->n)
		return;
	traces->guess = true;
	traces->zones = true;
	traces->zones_all = matches(&output->items[i], &zone_all);
	for (; i < output->n && !traces->zones_all; i++) {
		const struct shape *s = &output->items[i];

		if (matches(s, &zone_server))
			array_push(arena, &traces->servers, s->dst.net.addr);
		else if (!is_local_answer(s, s - 1))
			break;
	}
}

/* A LOG for every packet. */
static bool is_log(const struct shape *s, const char *prefix)
{
	return matches(s, &log_all) && strcmp(s->prefix, prefix) == 0;
}

static const struct shape *find_log(const struct shape_list *rules, const char *prefix)
{
	for (size_t i = 0; i < rules->n; i++)
		if (is_log(&rules->items[i], prefix))
			return &rules->items[i];
	return NULL;
}

void traces_learn_builtin(struct traces *traces, struct arena *arena,
			  const struct shape_list *raw_output, const struct shape_list *prerouting,
			  const struct shape_list *output)
{
	const struct shape *in = find_log(prerouting, LOG_PREROUTING);
	const struct shape *out = find_log(output, LOG_OUTPUT);

	learn_raw(traces, arena, raw_output);
	traces->log = in && out && in->number == out->number;
	traces->log_level = in ? in->number : 0;
	/* With outbound redirection disabled the chains name no user. */
	for (size_t i = 1; i < output->n; i++)
		if (output->items[i].ours && matches(&output->items[i - 1], &dns_tcp))
			learn_uid(traces, &output->items[i - 1]);
}

static void recognise_raw_output(const struct traces *t, const struct shape_list *rules, bool *own)
{
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i], *previous = i ? s - 1 : s;
		bool behind = i && own[i - 1];

		if ((matches(s, &zone_request) || matches(s, &zone_answer)) && of_user(t, s))
			own[i] = true;
		else if (behind && matches(s, &zone_all))
			own[i] = own[i] || previous->uid.op == OP_IS;
		else if (behind && matches(s, &zone_server))
			own[i] = own[i] || !matches(previous, &zone_all);
		else if (behind && matches(previous, &zone_server))
			own[i] = own[i] || is_local_answer(s, previous);
	}
	for (size_t i = rules->n; i > 1; i--)
		if (own[i - 1] && matches(&rules->items[i - 2], &zone_direct))
			own[i - 2] = true;
}

static bool is_server(const struct traces *t, const struct ip_addr *addr)
{
	for (size_t i = 0; i < t->servers.n; i++)
		if (ip_equal(&t->servers.items[i], addr))
			return true;
	return false;
}

static bool is_zone_answer(const struct traces *t, const struct shape *s)
{
	return t->zones && s->sport == DNS_PORT &&
	       ((t->zones_all && matches(s, &zone_answer_all)) ||
		(matches(s, &zone_answer_server) && is_server(t, &s->src.net.addr)));
}

static bool is_own_port(const struct traces *t, uint16_t port)
{
	for (size_t i = 0; i < ELEMENTS(t->ports); i++)
		if (t->ports[i] && t->ports[i] == port)
			return true;
	return false;
}

static bool is_vnet(const struct traces *t, const struct shape *dns, const struct shape *tcp)
{
	return matches(dns, &vnet_dns) && matches(tcp, &vnet_tcp) &&
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
	return (matches(s, &dns_direct) || matches(s, &dns_docker)) && of_user(t, s);
}

/* Returns how many rules directly in front of that one are exclusions: UIDs, then addresses. */
static size_t count_exclusions(const struct shape_list *rules, size_t before)
{
	size_t i = before;

	while (i > 0 && matches(&rules->items[i - 1], &excluded_address))
		i--;
	while (i > 0 && is_excluded(&rules->items[i - 1]))
		i--;
	return before - i;
}

/* The redirects of DNS requests: one for all servers, or one for each, all to one port. Returns
 * how many they are. */
static size_t count_redirects(const struct shape_list *rules, size_t first)
{
	size_t n = first;

	if (n < rules->n && matches(&rules->items[n], &dns_all))
		return 1;
	while (n < rules->n && rules->items[n].number == rules->items[first].number &&
	       matches(&rules->items[n], &dns_server))
		n++;
	return n - first;
}

static void recognise_nat_output(const struct traces *t, const struct shape_list *rules, bool *own)
{
	size_t jump = rules->n, n;
	bool dns = false;

	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		if (s->ours && jump == rules->n)
			jump = i;
		if (matches(s, &dns_tcp) && of_user(t, s))
			own[i] = true;
		if (!is_dns_start(t, s))
			continue;
		dns = true;
		memset(own + i, true, 1 + count_redirects(rules, i + 1));
		n = count_exclusions(rules, i);
		memset(own + i - n, true, n);
	}
	if (dns || jump == rules->n)
		return;
	/* No block that they would be a part of: from the beginning to the jump, or not at all. */
	n = count_exclusions(rules, jump);
	if (n == jump || own[jump - n - 1])
		memset(own + jump - n, true, n);
}

static bool is_doubtful(enum table table, bool output, const struct shape *s)
{
	if (table == TABLE_MANGLE && !output)
		return matches(s, &drop_invalid);
	return table == TABLE_NAT && output &&
	       (is_excluded_of_some(s) || matches(s, &excluded_address));
}

void recognise(const struct traces *traces, const struct recognised *chain)
{
	const struct shape_list *rules = chain->rules;
	bool output = strcmp(chain->chain, "OUTPUT") == 0, *own = chain->own;

	for (size_t i = 0; i < rules->n; i++)
		own[i] = own[i] || rules->items[i].ours;
	if (!traces->guess || traces->commented ||
	    (!output && strcmp(chain->chain, "PREROUTING") != 0))
		return;
	for (size_t i = 0; i < rules->n; i++) {
		const struct shape *s = &rules->items[i];

		if (chain->table == TABLE_RAW && !output)
			own[i] = own[i] || is_zone_answer(traces, s);
		if (chain->table == TABLE_NAT && traces->log && s->number == traces->log_level)
			own[i] = own[i] || is_log(s, output ? LOG_OUTPUT : LOG_PREROUTING);
	}
	if (chain->table == TABLE_RAW && output)
		recognise_raw_output(traces, rules, own);
	else if (chain->table == TABLE_NAT && output)
		recognise_nat_output(traces, rules, own);
	else if (chain->table == TABLE_NAT)
		recognise_nat_prerouting(traces, rules, own);
	for (size_t i = 0; i < rules->n; i++)
		chain->doubt[i] = !own[i] && is_doubtful(chain->table, output, &rules->items[i]);
}
