/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What tproxyd adds to the reference's rules, and settings that no worked example has. */

#include "tests/unit/rules_plans.h"

/* The lines of a chain, in order, one text; comments are switched off. */
static void expect_chain(struct plan *plan, enum level level, const char *chain, const char *want)
{
	_free_ char *text = NULL;
	_strbuf_ struct strbuf got = { 0 };
	char *rest, *line;

	plan->comments = false;
	text = dry_run_of(plan, level);
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char name[64];

		if (sscanf(line, "-%*c %63s", name) == 1 && strcmp(name, chain) == 0 &&
		    line[1] != 'N')
			strbuf_addf(&got, "%s\n", line);
	}
	cr_expect_str_eq(strbuf_text(&got), want);
}

static struct plan plan_v4(void)
{
	struct plan plan = plan_default();

	plan.family[FAMILY_V6].enabled = false;
	return plan;
}

static void protect_ssh(struct plan *plan)
{
	static uint16_t ports[] = { 22, 2222 };

	plan->ssh_ports = (struct port_list){ ports, ELEMENTS(ports) };
}

Test(safety, keeps_open_connections_by_the_first_rule_of_both_chains)
{
	struct plan plan = plan_v4();

	plan.keep_connections = true;
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "-A KUMA_MESH_INBOUND -p tcp ! --syn -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp -j KUMA_MESH_INBOUND_REDIRECT\n");
	expect_chain(&plan, LEVEL_NO_DNS, "KUMA_MESH_OUTBOUND",
		     "-A KUMA_MESH_OUTBOUND -p tcp ! --syn -j RETURN\n"
		     "-A KUMA_MESH_OUTBOUND -s 127.0.0.6/32 -o lo -j RETURN\n"
		     "-A KUMA_MESH_OUTBOUND -p tcp -o lo ! -d 127.0.0.1/32 -m owner --uid-owner "
		     "5678 -j KUMA_MESH_INBOUND_REDIRECT\n"
		     "-A KUMA_MESH_OUTBOUND -p tcp -o lo -m owner ! --uid-owner 5678 -j RETURN\n"
		     "-A KUMA_MESH_OUTBOUND -m owner --uid-owner 5678 -j RETURN\n"
		     "-A KUMA_MESH_OUTBOUND -d 127.0.0.1/32 -j RETURN\n"
		     "-A KUMA_MESH_OUTBOUND -j KUMA_MESH_OUTBOUND_REDIRECT\n");
}

Test(safety, keeps_open_connections_only_where_the_direction_is_redirected)
{
	struct plan plan = plan_v4();

	plan.keep_connections = true;
	protect_ssh(&plan);
	plan.inbound.enabled = false;
	plan.outbound.enabled = false;
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "-A KUMA_MESH_INBOUND -p tcp -j RETURN\n");
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_OUTBOUND",
		     "-A KUMA_MESH_OUTBOUND -p tcp -j RETURN\n");
}

Test(safety, excludes_ssh_ahead_of_all_else_but_open_connections)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();

	plan.keep_connections = true;
	protect_ssh(&plan);
	plan.family[FAMILY_V4].exclude_inbound = NETS(&arena, "10.0.0.0/8");
	plan.inbound.exclude_ports = PORTS(&arena, 80);
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "-A KUMA_MESH_INBOUND -p tcp ! --syn -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 22 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 2222 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -s 10.0.0.0/8 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 80 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp -j KUMA_MESH_INBOUND_REDIRECT\n");
}

Test(safety, excludes_ssh_ahead_of_ports_that_are_included)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();

	protect_ssh(&plan);
	plan.inbound.include_ports = PORTS(&arena, 22, 80);
	expect_chain(&plan, LEVEL_FULL, "KUMA_MESH_INBOUND",
		     "-A KUMA_MESH_INBOUND -p tcp --dport 22 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 2222 -j RETURN\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 22 -j KUMA_MESH_INBOUND_REDIRECT\n"
		     "-A KUMA_MESH_INBOUND -p tcp --dport 80 -j KUMA_MESH_INBOUND_REDIRECT\n");
}

Test(nat, has_the_four_chains_at_every_level_but_none_in_the_references_order)
{
	for (enum level level = LEVEL_DRAIN; level <= LEVEL_FULL; level++) {
		struct plan plan = plan_v4();
		_free_ char *text = NULL;

		plan.inbound.chain = "KUMA_MESH_IN";
		plan.outbound.chain = "KUMA_MESH_OUT";
		plan.inbound.redirect_chain = "KUMA_MESH_IN_TO";
		plan.outbound.redirect_chain = "KUMA_MESH_OUT_TO";
		text = dry_run_of(&plan, level);
		cr_expect_not_null(strstr(text, "* nat\n-N KUMA_MESH_IN\n-N KUMA_MESH_OUT\n"
						"-N KUMA_MESH_IN_TO\n-N KUMA_MESH_OUT_TO\n"),
				   "%s", text);
		cr_expect_null(strstr(text, "BOUND"), "%s", text);
	}
}

Test(nat, drops_the_dns_redirect_of_vnets_but_not_their_tcp_redirect_at_no_dns)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();

	plan.log_enabled = true;
	plan.family[FAMILY_V4].vnets = VNETS(&arena, "br+", "172.18.0.0/16");
	expect_chain(&plan, LEVEL_FULL, "PREROUTING",
		     "-A PREROUTING -j LOG --log-prefix PREROUTING: --log-level 7\n"
		     "-I PREROUTING 1 -i br+ -m udp -p udp --dport 53 -j REDIRECT --to-ports "
		     "15053\n"
		     "-I PREROUTING 2 ! -d 172.18.0.0/16 -i br+ -p tcp -j REDIRECT --to-ports "
		     "15001\n"
		     "-I PREROUTING 3 -p tcp -j KUMA_MESH_INBOUND\n");
	expect_chain(&plan, LEVEL_NO_DNS, "PREROUTING",
		     "-A PREROUTING -j LOG --log-prefix PREROUTING: --log-level 7\n"
		     "-I PREROUTING 1 ! -d 172.18.0.0/16 -i br+ -p tcp -j REDIRECT --to-ports "
		     "15001\n"
		     "-I PREROUTING 2 -p tcp -j KUMA_MESH_INBOUND\n");
}

Test(nat, redirects_dns_per_server_in_the_order_of_the_file_with_duplicates)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();

	plan_dns(&plan, FAMILY_V4, SERVERS(&arena, "10.0.0.2", "127.0.0.53", "10.0.0.2"));
	expect_chain(&plan, LEVEL_FULL, "OUTPUT",
		     "-A OUTPUT -p udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n"
		     "-A OUTPUT -p udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"
		     "-A OUTPUT -d 10.0.0.2 -p udp --dport 53 -j CT --zone 2\n"
		     "-A OUTPUT -d 127.0.0.53 -p udp --dport 53 -j CT --zone 2\n"
		     "-A OUTPUT -s 127.0.0.53 -d 127.0.0.1/32 -p udp -j CT --zone 1\n"
		     "-A OUTPUT -d 10.0.0.2 -p udp --dport 53 -j CT --zone 2\n"
		     "-I OUTPUT 1 -p udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"
		     "-A OUTPUT -p tcp --dport 53 -m owner ! --uid-owner 5678 -j RETURN\n"
		     "-I OUTPUT 2 -d 10.0.0.2 -p udp --dport 53 -j REDIRECT --to-ports 15053\n"
		     "-I OUTPUT 3 -d 127.0.0.53 -p udp --dport 53 -j REDIRECT --to-ports 15053\n"
		     "-I OUTPUT 4 -d 10.0.0.2 -p udp --dport 53 -j REDIRECT --to-ports 15053\n"
		     "-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND\n");
}

Test(raw, needs_dns_and_the_zone_split_and_level_full)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();
	_free_ char *with = NULL, *off = NULL, *without = NULL, *lower = NULL;

	plan_dns(&plan, FAMILY_V4, SERVERS(&arena, "10.0.0.2"));
	with = dry_run_of(&plan, LEVEL_FULL);
	lower = dry_run_of(&plan, LEVEL_NO_DNS);
	plan.family[FAMILY_V4].dns_zones = false;
	without = dry_run_of(&plan, LEVEL_FULL);
	plan.family[FAMILY_V4].dns_zones = true;
	plan.family[FAMILY_V4].dns = false;
	off = dry_run_of(&plan, LEVEL_FULL);
	cr_expect_not_null(strstr(with, "* raw\n"));
	cr_expect_null(strstr(lower, "* raw\n"));
	cr_expect_null(strstr(without, "* raw\n"));
	cr_expect_null(strstr(off, "* raw\n"));
}

Test(nat, keeps_the_address_where_an_interface_has_none)
{
	struct plan plan = plan_v4();

	plan.family[FAMILY_V4].unnumbered = true;
	for (enum level level = LEVEL_DRAIN; level <= LEVEL_FULL; level++) {
		expect_chain(&plan, level, "KUMA_MESH_INBOUND_REDIRECT",
			     "-A KUMA_MESH_INBOUND_REDIRECT -p tcp -m addrtype --dst-type LOCAL -j "
			     "DNAT --to-destination :15006\n"
			     "-A KUMA_MESH_INBOUND_REDIRECT -p tcp -j REDIRECT --to-ports 15006\n");
		expect_chain(
			&plan, level, "KUMA_MESH_OUTBOUND_REDIRECT",
			"-A KUMA_MESH_OUTBOUND_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n");
	}
}

Test(mangle, is_per_family_and_stays_without_dns_but_not_while_draining)
{
	for (enum level level = LEVEL_NONE; level <= LEVEL_FULL; level++) {
		_arena_ struct arena arena = { 0 };
		struct plan plan = plan_default();
		struct ruleset rules;

		plan.family[FAMILY_V6].drop_invalid = true;
		ruleset_build(&arena, &plan, level, &rules);
		cr_expect_eq(rules.family[FAMILY_V4].table[TABLE_MANGLE].n, 0);
		cr_expect_eq(rules.family[FAMILY_V6].table[TABLE_MANGLE].n,
			     level >= LEVEL_NO_DNS ? 1 : 0);
	}
}

Test(dns, of_who_is_exempt_is_in_the_zone_of_the_servers)
{
	_arena_ struct arena arena = { 0 };
	struct plan plan = plan_v4();
	struct uid_exclusion direct = { .proto = IPPROTO_UDP,
					.ports = (struct port_range[]){ { 53, 53 } },
					.n_ports = 1,
					.ports_text = "53",
					.uid_lo = 102,
					.uid_hi = 102,
					.uids_text = "102" };

	plan_dns(&plan, FAMILY_V4, SERVERS(&arena, "10.0.0.2"));
	plan.exclude_uids = plan.direct_dns = (struct uid_exclusion_list){ &direct, 1 };
#define NAT                                                                               \
	"-I OUTPUT 1 -m multiport -p udp --dport 53 -m owner --uid-owner 102 -j RETURN\n" \
	"-I OUTPUT 2 -p udp --dport 53 -m owner --uid-owner 5678 -j RETURN\n"             \
	"-A OUTPUT -p tcp --dport 53 -m owner ! --uid-owner 5678 -j RETURN\n"             \
	"-I OUTPUT 3 -d 10.0.0.2 -p udp --dport 53 -j REDIRECT --to-ports 15053\n"        \
	"-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND\n"
	expect_chain(
		&plan, LEVEL_FULL, "OUTPUT",
		"-A OUTPUT -m multiport -p udp --dport 53 -m owner --uid-owner 102 -j CT --zone 1\n"
		"-A OUTPUT -p udp --dport 53 -m owner --uid-owner 5678 -j CT --zone 1\n"
		"-A OUTPUT -p udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 2\n"
		"-A OUTPUT -d 10.0.0.2 -p udp --dport 53 -j CT --zone 2\n" NAT);
	plan.family[FAMILY_V4].dns_zones = false;
	expect_chain(&plan, LEVEL_FULL, "OUTPUT", NAT);
}
