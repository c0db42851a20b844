/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Where nf_tables is not iptables, told by what nft would be given. */

#include <stdarg.h>

#include "common/rules/print_nft.h"
#include "tests/unit/rules_plans.h"

/* From "chain NAME {" to its end; "" where there is none. The first family's. */
static const char *chain_of(const char *text, const char *name, char ret[static 8192])
{
	char head[128];
	const char *begin, *end;

	(void)snprintf(head, sizeof(head), "\tchain %s {\n", name);
	begin = strstr(text, head);
	ret[0] = 0;
	if (begin) {
		begin += strlen(head);
		end = strstr(begin, "\t}\n");
		cr_assert(end && end - begin < 8192);
		memcpy(ret, begin, (size_t)(end - begin));
		ret[end - begin] = 0;
	}
	return ret;
}

static char *nft_of(const struct plan *plan, enum level level)
{
	_arena_ struct arena arena = { 0 };
	struct strbuf out = { 0 };
	struct nft_ruleset lowered;
	struct ruleset rules;

	ruleset_build(&arena, plan, level, &rules);
	lower_nft(&arena, &rules, &lowered);
	print_nft(&lowered, &out);
	cr_assert(!arena.failed);
	return strbuf_take(&out);
}

static void expect_chain(const struct plan *plan, enum level level, const char *name,
			 const char *want)
{
	_free_ char *text = nft_of(plan, level);
	char got[8192];

	cr_expect_str_eq(chain_of(text, name, got), want, "%s is\n%s", name, got);
}

static void expect_text(const struct plan *plan, const char *want)
{
	_free_ char *text = nft_of(plan, LEVEL_FULL);

	cr_expect(strstr(text, want), "no %s in\n%s", want, text);
}

static struct plan plan_bare(void)
{
	struct plan plan = plan_default();

	plan.comments = false;
	return plan;
}

#define HOOK(TYPE, NAME, PRIORITY) \
	"\t\ttype " TYPE " hook " NAME " priority " #PRIORITY "; policy accept;\n"

Test(lower_nft, what_returns_among_the_inserted_ends_the_appended_too)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	fill_e01(&arena, &plan);
	plan.log_enabled = true;
	plan.family[FAMILY_V4].exclude_outbound = NETS(&arena, "10.0.0.1");
	expect_chain(&plan, LEVEL_FULL, "nat_output_insert",
		     HOOK("nat", "output", -101) "\t\tcounter log prefix \"OUTPUT:\" level debug\n"
						 "\t\tjump nat_output_return\n"
						 "\t\tip daddr 10.0.0.2 udp dport 53 counter "
						 "redirect to :15053\n");
	expect_chain(&plan, LEVEL_FULL, "nat_output_return",
		     "\t\tip daddr 10.0.0.1 counter accept\n"
		     "\t\tudp dport 53 meta skuid 5678 counter accept\n");
	expect_chain(&plan, LEVEL_FULL, "nat_output_append",
		     HOOK("nat", "output", -99) "\t\tjump nat_output_return\n"
						"\t\ttcp dport 53 meta skuid 5678 goto "
						"nat_output_append.rest\n"
						"\t\ttcp dport 53 counter return\n"
						"\t\tgoto nat_output_append.rest\n");
	expect_chain(&plan, LEVEL_FULL, "nat_output_append.rest",
		     "\t\tmeta l4proto tcp counter jump KUMA_MESH_OUTBOUND\n");
}

/* Without a socket nobody is that user, and nobody can be asked. */
Test(lower_nft, who_is_not_that_user_may_have_no_socket)
{
	struct plan plan = plan_bare();

	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_OUTBOUND",
		     "\t\toifname \"lo\" ip saddr 127.0.0.6 counter return\n"
		     "\t\toifname \"lo\" ip daddr != 127.0.0.1 meta l4proto tcp meta skuid 5678 "
		     "counter jump KUMA_MESH_INBOUND_REDIRECT\n"
		     "\t\toifname \"lo\" meta l4proto tcp meta skuid 5678 goto "
		     "KUMA_MESH_OUTBOUND.rest\n"
		     "\t\toifname \"lo\" meta l4proto tcp counter return\n"
		     "\t\tgoto KUMA_MESH_OUTBOUND.rest\n");
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_OUTBOUND.rest",
		     "\t\tmeta skuid 5678 counter return\n"
		     "\t\tip daddr 127.0.0.1 counter return\n"
		     "\t\tcounter jump KUMA_MESH_OUTBOUND_REDIRECT\n");
}

Test(lower_nft, a_jump_to_a_chain_of_others_comes_back)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	fill_e12(&arena, &plan);
	expect_chain(&plan, LEVEL_FULL, "nat_output_return",
		     "\t\tudp dport 53 meta skuid 5678 counter accept\n");
}

Test(lower_nft, draining_keeps_a_redirect_and_a_hook)
{
	struct plan plan = plan_bare();

	expect_chain(&plan, LEVEL_DRAIN, "nat_output_append", HOOK("nat", "output", -99));
	expect_chain(&plan, LEVEL_DRAIN, "KUMA_MESH_INBOUND_REDIRECT",
		     "\t\tmeta l4proto tcp counter redirect to :15006\n");
	expect_chain(&plan, LEVEL_DRAIN, "KUMA_MESH_INBOUND", "");
	expect_chain(&plan, LEVEL_DRAIN, "nat_prerouting_append", "");
}

Test(lower_nft, no_base_chain_without_rules)
{
	struct plan plan = plan_bare();
	_free_ char *full = nft_of(&plan, LEVEL_FULL), *none = nft_of(&plan, LEVEL_NONE);

	cr_expect_null(strstr(full, "nat_output_insert"));
	cr_expect_null(strstr(full, "nat_output_return"));
	cr_expect_null(strstr(full, "raw_"));
	cr_expect_str_eq(none, "add table ip tproxyd\ndelete table ip tproxyd\n"
			       "add table ip6 tproxyd\ndelete table ip6 tproxyd\n");
}

Test(lower_nft, a_family_that_is_not_redirected_has_no_table)
{
	struct plan plan = plan_bare();

	plan.family[FAMILY_V6] = (struct plan_family){ 0 };
	_free_ char *text = nft_of(&plan, LEVEL_FULL);
	cr_expect_null(strstr(text, "\ntable ip6 "));
	cr_expect_not_null(strstr(text, "\ntable ip "));
}

Test(lower_nft, interfaces_are_names_or_beginnings)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	plan.family[FAMILY_V4].vnets =
		VNETS(&arena, "+", "172.19.0.0/16", "br+", "172.18.0.0/16", "eth*", "0.0.0.0/0");
	/* The last never matches for TCP: no destination is outside of its network. */
	expect_chain(
		&plan, LEVEL_FULL, "nat_prerouting_insert",
		HOOK("nat", "prerouting",
		     -101) "\t\tudp dport 53 counter redirect to :15053\n"
			   "\t\tip daddr != 172.19.0.0/16 meta l4proto tcp counter redirect to :15001\n"
			   "\t\tiifname \"br*\" udp dport 53 counter redirect to :15053\n"
			   "\t\tiifname \"br*\" ip daddr != 172.18.0.0/16 meta l4proto tcp counter redirect "
			   "to :15001\n"
			   "\t\tiifname \"eth\\*\" udp dport 53 counter redirect to :15053\n"
			   "\t\tmeta l4proto tcp counter jump KUMA_MESH_INBOUND\n");
}

Test(lower_nft, syn_alone_is_asked_for_by_a_mask)
{
	struct plan plan = plan_bare();

	plan.keep_connections = true;
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "\t\ttcp flags & (fin | syn | rst | ack) != syn counter return\n"
		     "\t\tmeta l4proto tcp counter jump KUMA_MESH_INBOUND_REDIRECT\n");
}

/* Two rules over the list of servers: iptables asks for each server's loopback in its turn. */
Test(lower_nft, rules_over_one_list_keep_its_order)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	plan_dns(&plan, FAMILY_V4, SERVERS(&arena, "127.0.0.53", "10.0.0.2"));
	expect_chain(&plan, LEVEL_FULL, "raw_output",
		     HOOK("filter", "output",
			  -300) "\t\tudp dport 53 meta skuid 5678 counter ct zone set 1\n"
				"\t\tudp sport 15053 meta skuid 5678 counter ct zone set 2\n"
				"\t\tip daddr 127.0.0.53 udp dport 53 counter ct zone set 2\n"
				"\t\tip saddr 127.0.0.53 ip daddr 127.0.0.1 meta l4proto udp "
				"counter ct zone set 1\n"
				"\t\tip daddr 10.0.0.2 udp dport 53 counter ct zone set 2\n");
	expect_chain(&plan, LEVEL_FULL, "raw_prerouting",
		     HOOK("filter", "prerouting", -300) "\t\tip saddr @networks1 udp sport 53 "
							"counter ct zone set 1\n");
}

Test(lower_nft, one_element_is_no_set_and_two_are)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	plan.inbound.exclude_ports = PORTS(&arena, 7);
	plan.outbound.exclude_ports = PORTS(&arena, 9, 8, 65535);
	plan.family[FAMILY_V4].exclude_inbound = NETS(&arena, "10.0.0.0/8", "10.2.0.0/16");
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "\t\tip saddr @networks1 counter return\n"
		     "\t\ttcp dport 7 counter return\n"
		     "\t\tmeta l4proto tcp counter jump KUMA_MESH_INBOUND_REDIRECT\n");
	expect_text(&plan, "elements = { 8-9, 65535 }");
	expect_text(&plan, "elements = { 10.0.0.0/8 }");
}

Test(lower_nft, users_with_the_same_ports_share_a_rule)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_bare();

	exclude_uids(&arena, &plan, IPPROTO_TCP, "22", "7");
	exclude_uids(&arena, &plan, IPPROTO_UDP, "22", "5");
	exclude_uids(&arena, &plan, IPPROTO_TCP, "53,3000:5000", "9");
	exclude_uids(&arena, &plan, IPPROTO_TCP, "22", "100:200");
	expect_chain(&plan, LEVEL_FULL, "nat_output_return",
		     "\t\ttcp dport 22 meta skuid @uids1 counter accept\n"
		     "\t\tudp dport 22 meta skuid 5 counter accept\n"
		     "\t\ttcp dport @ports1 meta skuid 9 counter accept\n");
	expect_text(&plan, "type uid\n\t\tflags interval\n\t\telements = { 7, 100-200 }");
	expect_text(&plan, "elements = { 53, 3000-5000 }");
}

Test(lower_nft, comments_are_what_nft_takes_back)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_default();
	char iface[] = "\"\x01\xc3\xbc";

	plan.inbound.exclude_ports = PORTS(&arena, 22, 23);
	plan.family[FAMILY_V4].vnets = VNETS(&arena, iface, "172.18.0.0/16");
	expect_text(&plan,
		    "comment \"exclude inbound traffic from port @ports1 from redirection\"");
	expect_text(&plan, "interface '\xef\xbf\xbd\xc3\xbc, excluding");
	_free_ char *text = nft_of(&plan, LEVEL_FULL);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		const char *comment = strstr(line, " comment \"");

		cr_expect(!comment || strlen(comment) <= strlen(" comment \"\"") + 127, "%s", line);
		cr_expect_null(strstr(line, COMMENT_PREFIX), "%s", line);
	}
}

Test(lower_nft, inbounds_are_closed)
{
	static uint16_t ports[] = { 8080, 8443 };
	static struct endpoint endpoint = { { FAMILY_V4, { 192, 0, 2, 10 } }, 8080 };
	struct plan plan = plan_bare();

	plan.strict_ports = (struct port_list){ ports, ELEMENTS(ports) };
	plan.family[FAMILY_V4].strict = true;
	plan.family[FAMILY_V4].unnumbered = true;
	plan.family[FAMILY_V4].inbounds = (struct endpoint_list){ &endpoint, 1 };
	expect_chain(&plan, LEVEL_FULL, "filter_input_insert",
		     HOOK("filter", "input", -1) "\t\ttcp flags & (fin | syn | rst | ack) == syn "
						 "counter jump KUMA_MESH_STRICT_INBOUND\n");
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_STRICT_INBOUND",
		     "\t\tiifname \"lo\" counter return\n"
		     "\t\ttcp dport 15006 ct original ip daddr 192.0.2.10 ct original proto-dst "
		     "8080 counter return\n"
		     "\t\ttcp dport 15006 ct original proto-dst @ports1 counter reject with tcp "
		     "reset\n"
		     "\t\tip daddr 192.0.2.10 tcp dport 8080 counter return\n"
		     "\t\ttcp dport @ports1 counter reject with tcp reset\n");
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND_REDIRECT",
		     "\t\tmeta l4proto tcp fib daddr type local counter dnat to :15006\n"
		     "\t\tmeta l4proto tcp counter redirect to :15006\n");
	plan.outbound.redirect_chain = STRICT_CHAIN;
	expect_text(&plan, "\tchain KUMA_MESH_STRICT_INBOUND.filter {\n");
	expect_text(&plan, "counter jump KUMA_MESH_STRICT_INBOUND.filter\n");
}

Test(lower_nft, memory_that_ends_shows)
{
	struct arena arena = { .failed = true };
	struct ruleset rules = { .level = LEVEL_FULL };
	struct chain chain = { .name = "OUTPUT", .builtin = true };
	struct rule rule = { .verdict = { .kind = VERDICT_RETURN } };
	struct nft_ruleset lowered;

	chain.rules = &rule;
	chain.n = 1;
	rules.family[FAMILY_V4].table[TABLE_NAT] = (struct table_rules){ &chain, 1 };
	lower_nft(&arena, &rules, &lowered);
	cr_expect_eq(lowered.family[FAMILY_V4].chains.n, 0);
}
