/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/change.h"

#include <string.h>

#include <criterion/criterion.h>

#include "common/base/cleanup.h"

struct side {
	struct plan plan;
	struct command command[CHILD_COUNT];
};

static struct arena arena;
static struct side former, next;
static struct change change;

static const char *const words[] = { "kuma-dp", "run", NULL };

static void make(struct side *side)
{
	*side = (struct side){
		.plan = { .user = { .uid = 5678, .gid = 5678 }, .hold_nsec = 1 },
		.command[CHILD_KUMA_DP] = { .path = "/kuma-dp",
					    .argv = { (const char **)(uintptr_t)words, 3 } },
	};
}

static void init(void)
{
	make(&former);
	make(&next);
}

static void done(void)
{
	arena_done(&arena);
}

TestSuite(change, .init = init, .fini = done);

static void decide(bool same_rules)
{
	change_decide(&arena, &(struct change_side){ &former.plan, former.command },
		      &(struct change_side){ &next.plan, next.command }, same_rules, &change);
}

static void expect_print(const char *expected)
{
	_strbuf_ struct strbuf out = { 0 };

	change_print(&change, &out);
	cr_expect_str_eq(strbuf_text(&out), expected);
}

static void expect_word(const char *word)
{
	cr_assert_eq(change.words.n, 1);
	cr_expect_str_eq(change.words.items[0], word);
}

static void give(struct side *side, struct command_file *file, enum child_id id)
{
	side->command[id].given = (struct command_file_list){ file, 1 };
}

Test(change, is_nothing_between_equals)
{
	decide(true);
	cr_expect_eq(change.needs, 0);
	cr_expect_null(change.refusal);
	cr_expect_eq(change.words.n, 0);
	expect_print("nothing changes");
}

Test(change, is_one_of_rules_alone)
{
	decide(false);
	cr_expect_eq(change.needs, CHANGE_RULES);
	expect_print("the rules change");
}

Test(change, restarts_kuma_dp_for_another_token)
{
	struct command_file old = { "/token", "a", "the token" };
	struct command_file new = { "/token", "b", "the token" };

	give(&former, &old, CHILD_KUMA_DP);
	give(&next, &new, CHILD_KUMA_DP);
	decide(true);
	cr_expect_eq(change.needs, CHANGE_KUMA_DP);
	expect_word("the token");
	expect_print("kuma-dp restarts");
}

Test(change, restarts_coredns_alone_for_another_corefile)
{
	struct command_file old = { "/Corefile", "a", "the Corefile" };
	struct command_file new = { "/Corefile", "b", "the Corefile" };

	former.command[CHILD_CORE_DNS].path = next.command[CHILD_CORE_DNS].path = "/coredns";
	give(&former, &old, CHILD_CORE_DNS);
	give(&next, &new, CHILD_CORE_DNS);
	decide(true);
	cr_expect_eq(change.needs, CHANGE_CORE_DNS);
	expect_word("the Corefile");
	expect_print("our own coredns restarts");
}

Test(change, takes_over_each_time_of_the_daemon)
{
	int64_t *const times[] = {
		&next.plan.hold_nsec,
		&next.plan.readiness_timeout_nsec,
		&next.plan.restart_delay_nsec,
		&next.plan.readiness_interval_nsec,
		&next.plan.restart_max_delay_nsec,
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		*times[i] += 1;
		decide(true);
		cr_expect_eq(change.needs, CHANGE_DAEMON);
		*times[i] -= 1;
	}
	expect_print("tproxyd takes over its own settings");
}

Test(change, names_all_that_it_leads_to)
{
	next.plan.hold_nsec = 2;
	next.command[CHILD_KUMA_DP].argv.n = 2;
	decide(false);
	expect_print("the rules change, kuma-dp restarts, tproxyd takes over its own settings");
}

Test(change, says_what_the_host_has_brought_about)
{
	struct ip_addr server = { .bytes = { 192, 0, 2, 1 } };
	uint16_t port = 22;

	next.plan.family[FAMILY_V4].dns_servers = (struct ip_list){ &server, 1 };
	decide(false);
	expect_word("the name servers");
	init();
	next.plan.ssh_ports = (struct port_list){ &port, 1 };
	decide(false);
	expect_word("the ports of SSH");
	init();
	next.plan.family[FAMILY_V6].enabled = true;
	decide(false);
	expect_word("IPv6 is redirected too");
	init();
	former.plan.family[FAMILY_V6].enabled = true;
	decide(false);
	expect_word("IPv6 is not redirected any more");
	init();
	next.plan.children.major = 2;
	decide(true);
	expect_word("kuma-dp is version 2.0.0 now");
}

Test(change, refuses_another_user)
{
	next.plan.user.uid = 1000;
	decide(false);
	cr_expect_str_eq(change.refusal,
			 "kumaDPUser: the proxy runs as UID 5678 and GID 5678, which would be UID "
			 "1000 and GID 5678: restart the service");
	init();
	next.plan.user.gid = 1000;
	decide(false);
	cr_expect(strstr(change.refusal, "GID 1000: restart the service"));
}

Test(change, refuses_a_coredns_that_comes_or_goes)
{
	next.command[CHILD_CORE_DNS].path = "/coredns";
	decide(true);
	cr_expect(strstr(change.refusal, "coreDNS.mode: tproxyd would run a coredns of its own"),
		  "%s", change.refusal);
	init();
	former.command[CHILD_CORE_DNS].path = "/coredns";
	decide(true);
	cr_expect(strstr(change.refusal, "coreDNS.mode: tproxyd runs a coredns of its own"), "%s",
		  change.refusal);
}
