/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/command.h"

#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

static struct arena arena;
static struct diag_list diags;
static struct plan plan;
static struct command command;

static void init(void)
{
	diags = (struct diag_list){ .arena = &arena };
	plan = (struct plan){
		.family = { { .enabled = true, .dns = true }, { .enabled = true, .dns = true } },
		.dns_port = 15053,
		.children = {
			.dns_mode = CORE_DNS_TPROXYD,
			.core_dns = "/usr/bin/coredns",
			.envoy_dns_port = 15054,
		},
	};
}

static void done(void)
{
	arena_done(&arena);
}

TestSuite(core_dns, .init = init, .fini = done);

static const char *corefile(void)
{
	command_core_dns(&arena, &plan, &command, &diags);
	cr_assert_eq(command.files.n, 1);
	return command.files.items[0].text;
}

static void expect_list(const char *const *list, const char *const *want)
{
	for (size_t i = 0; want[i] || list[i]; i++) {
		cr_assert_not_null(list[i], "'%s' is missing", want[i]);
		cr_assert_not_null(want[i], "'%s' is too much", list[i]);
		cr_expect_str_eq(list[i], want[i]);
	}
}

Test(core_dns, is_started_so)
{
	static const char *const argv[] = {
		"coredns", "-conf", "/run/tproxyd/dp/Corefile", "-quiet", NULL,
	};
	static const char *const environ[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/run/tproxyd/dp",
		"TMPDIR=/run/tproxyd/dp",
		"LANG=C.UTF-8",
		NULL,
	};

	command_core_dns(&arena, &plan, &command, &diags);
	cr_expect_eq(diags.n, 0);
	cr_expect_str_eq(command.name, "coredns");
	cr_expect_str_eq(command.path, "/usr/bin/coredns");
	expect_list(command.argv.items, argv);
	expect_list(command.environ.items, environ);
	cr_assert_eq(command.given.n, 1);
	cr_expect_str_eq(command.given.items[0].path, "/etc/resolv.conf");
	cr_assert_eq(command.files.n, 1);
	cr_expect_str_eq(command.files.items[0].path, "/run/tproxyd/dp/Corefile");
}

static const char *without_comments(const char *corefile)
{
	while (*corefile == '#')
		corefile = strchr(corefile, '\n') + 1;
	return corefile;
}

Test(core_dns, of_a_stock_build_goes_on_to_the_hosts_servers_with_next)
{
	cr_expect_str_eq(without_comments(corefile()),
			 ".:15053 {\n"
			 "\tbind 127.0.0.1 ::1\n"
			 "\terrors\n"
			 "\tforward . 127.0.0.1:15054 {\n"
			 "\t\tprefer_udp\n"
			 "\t\tmax_fails 0\n"
			 "\t\tnext NOTIMP FORMERR NXDOMAIN SERVFAIL REFUSED\n"
			 "\t}\n"
			 "\tforward . /etc/resolv.conf\n"
			 "}\n");
}

Test(core_dns, of_kumas_build_goes_on_with_alternate)
{
	plan.children.core_dns_alternate = true;
	cr_expect_str_eq(without_comments(corefile()),
			 ".:15053 {\n"
			 "\terrors\n"
			 "\tforward . 127.0.0.1:15054 {\n"
			 "\t\tprefer_udp\n"
			 "\t\tmax_fails 0\n"
			 "\t}\n"
			 "\talternate NOTIMP,FORMERR,NXDOMAIN,SERVFAIL,REFUSED . /etc/resolv.conf\n"
			 "}\n");
}

Test(core_dns, listens_on_loopback_of_the_families_that_are_redirected)
{
	plan.family[FAMILY_V6].enabled = false;
	cr_expect(strstr(corefile(), "\tbind 127.0.0.1\n"));
}

Test(core_dns, listens_everywhere_for_virtual_networks)
{
	struct vnet vnet = { .iface = "docker0", .net.text = "172.17.0.0/16" };

	plan.family[FAMILY_V4].vnets = (struct vnet_list){ &vnet, 1 };
	cr_expect_not(strstr(corefile(), "bind"));
}

Test(core_dns, takes_the_template_that_kuma_dp_takes)
{
	plan.children.corefile = ".:{{ .CoreDNSPort }} {{.EnvoyDNSPort}} {{ .PrometheusPort }}\n";
	cr_expect_str_eq(corefile(), ".:15053 15054 19153\n");
}

Test(core_dns, is_refused_a_template_with_unknown_words)
{
	plan.children.corefile = ".:53 {\n {{ if .CoreDNSLogging }}log{{ end }}\n}\n";
	command_core_dns(&arena, &plan, &command, &diags);
	cr_assert_eq(diags.n_errors, 1);
	cr_expect(strstr(diags.items[0].text, "no variable 'if .CoreDNSLogging'"));
	cr_expect_str_eq(diags.items[0].origin.name, "coreDNS.corefile");
	cr_expect_eq(diags.items[0].origin.line, 2);
	cr_expect_null(command.files.items[0].text);
}

Test(core_dns, has_the_corefile_that_is_shipped)
{
	FILE *file = fopen(TEST_DATA "/../conf/Corefile.in", "re");
	char text[4096] = "";

	cr_assert_not_null(file);
	cr_assert_lt(fread(text, 1, sizeof(text) - 1, file), sizeof(text) - 1);
	(void)fclose(file);
	cr_expect_str_eq(text, corefile_template);
}
