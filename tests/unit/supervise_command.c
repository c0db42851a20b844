/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/supervise/command.h"

#include <string.h>

#include <criterion/criterion.h>

#include "common/base/cleanup.h"

static struct arena arena;
static struct diag_list diags;
static struct plan plan;
static struct command command;

static void init(void)
{
	diags = (struct diag_list){ .arena = &arena };
	plan = (struct plan){
		.family = { { .enabled = true, .dns = true }, { .enabled = true, .dns = true } },
		.inbound = { .enabled = true, .port = 15006 },
		.outbound = { .enabled = true, .port = 15001 },
		.dns_port = 15053,
		.children = {
			.kuma_dp = "/usr/bin/kuma-dp",
			.envoy = "/usr/bin/envoy",
			.major = 2,
			.minor = 14,
			.patch = 3,
			.cp_address = "https://cp:5678",
			.token_file = "/etc/tproxyd/token",
			.dataplane_file = "/etc/tproxyd/dp.yaml",
			.token = "a.b.c",
			.resource = "type: Dataplane",
			.dns_mode = CORE_DNS_KUMA_DP,
			.core_dns = "/usr/bin/coredns",
			.envoy_dns_port = 15054,
			.drain_time_nsec = INT64_C(30000000000),
		},
	};
}

static void done(void)
{
	arena_done(&arena);
}

TestSuite(kuma_dp, .init = init, .fini = done);
TestSuite(equal, .init = init, .fini = done);

static void build(unsigned major, unsigned minor, enum core_dns_mode mode)
{
	plan.children.major = major;
	plan.children.minor = minor;
	plan.children.dns_mode = mode;
	command_kuma_dp(&arena, &plan, &command, &diags);
}

static bool listed(const char *const *list, const char *want)
{
	for (; *list; list++)
		if (strcmp(*list, want) == 0)
			return true;
	return false;
}

/* Whether some item begins so. */
static bool begun(const char *const *list, const char *want)
{
	for (; *list; list++)
		if (strncmp(*list, want, strlen(want)) == 0)
			return true;
	return false;
}

static void expect_list(const char *const *list, const char *const *want)
{
	for (size_t i = 0; want[i] || list[i]; i++) {
		cr_assert_not_null(list[i], "'%s' is missing", want[i]);
		cr_assert_not_null(want[i], "'%s' is too much", list[i]);
		cr_expect_str_eq(list[i], want[i]);
	}
}

static const struct command_file *file_named(const char *path)
{
	const struct command_file *file = NULL;

	for (size_t i = 0; i < command.files.n; i++)
		if (strcmp(command.files.items[i].path, path) == 0)
			file = &command.files.items[i];
	cr_assert_not_null(file, "no file %s", path);
	return file;
}

static bool given(const char *path)
{
	for (size_t i = 0; i < command.given.n; i++)
		if (strcmp(command.given.items[i].path, path) == 0)
			return true;
	return false;
}

Test(kuma_dp, of_2_14_is_started_so)
{
	static const char *const argv[] = {
		"kuma-dp",
		"run",
		"--cp-address=https://cp:5678",
		"--dataplane-token-file=/etc/tproxyd/token",
		"--dataplane-file=/etc/tproxyd/dp.yaml",
		"--binary-path=/usr/bin/envoy",
		"--drain-time=30s",
		"--work-dir=/run/tproxyd/dp",
		"--dns-server-config-dir=/run/tproxyd/dp",
		"--dns-coredns-path=/usr/bin/coredns",
		"--dns-coredns-port=15053",
		"--dns-envoy-port=15054",
		"--transparent-proxy-config=/run/tproxyd/dp/transparent-proxy.yaml",
		NULL,
	};
	static const char *const environ[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/run/tproxyd/dp",
		"TMPDIR=/run/tproxyd/dp",
		"LANG=C.UTF-8",
		"KUMA_READINESS_PORT=9902",
		"KUMA_DNS_PROXY_PORT=0",
		NULL,
	};

	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect_eq(diags.n, 0);
	cr_expect_str_eq(command.name, "kuma-dp");
	cr_expect_str_eq(command.path, "/usr/bin/kuma-dp");
	expect_list(command.argv.items, argv);
	expect_list(command.environ.items, environ);
	cr_expect(given("/etc/tproxyd/token"));
	cr_expect(given("/etc/tproxyd/dp.yaml"));
	cr_expect_eq(command.given.n, 2);
}

Test(kuma_dp, is_told_of_the_redirect_from_2_11_on)
{
	const struct command_file *file;

	build(2, 14, CORE_DNS_KUMA_DP);
	file = file_named("/run/tproxyd/dp/transparent-proxy.yaml");
	cr_expect_str_eq(file->text, "ipFamilyMode: dualstack\n"
				     "redirect:\n"
				     "  inbound:\n    enabled: true\n    port: 15006\n"
				     "  outbound:\n    enabled: true\n    port: 15001\n"
				     "  dns:\n    enabled: true\n    port: 15053\n");
}

Test(kuma_dp, is_told_of_what_is_off_and_of_virtual_networks)
{
	struct vnet vnets[] = { { .iface = "docker0", .net.text = "172.17.0.0/16" },
				{ .iface = "br+", .net.text = "172.18.0.0/16" } };

	plan.family[FAMILY_V6].enabled = false;
	plan.family[FAMILY_V4].vnets = (struct vnet_list){ vnets, 2 };
	plan.outbound.enabled = false;
	plan.children.ipv4_only = true;
	build(2, 14, CORE_DNS_OFF);
	cr_expect_str_eq(file_named("/run/tproxyd/dp/transparent-proxy.yaml")->text,
			 "ipFamilyMode: ipv4\n"
			 "redirect:\n"
			 "  inbound:\n    enabled: true\n    port: 15006\n"
			 "  outbound:\n    enabled: false\n    port: 15001\n"
			 "  dns:\n    enabled: false\n    port: 15053\n"
			 "  vnet:\n    networks:\n"
			 "    - \"docker0:172.17.0.0/16\"\n"
			 "    - \"br+:172.18.0.0/16\"\n");
}

/* What each release can be told; see the table in command.c. */
Test(kuma_dp, of_each_version_gets_flags_that_it_has)
{
	static const struct {
		unsigned major, minor;
		bool redirect, work_dir, config_dir, core_dns, proxy_env;
	} rows[] = {
		{ 2, 10, false, false, true, true, false },
		{ 2, 11, true, false, true, true, true },
		{ 2, 12, true, true, false, true, true },
		{ 2, 13, true, true, false, true, true },
		{ 2, 14, true, true, false, true, true },
		{ 2, 15, true, true, false, true, true },
		{ 3, 0, true, true, false, false, false },
		{ 3, 1, true, true, false, false, false },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		build(rows[i].major, rows[i].minor,
		      rows[i].major == 3 ? CORE_DNS_EMBEDDED : CORE_DNS_KUMA_DP);
		cr_expect_eq(diags.n, 0);
		cr_expect_eq(begun(command.argv.items, "--transparent-proxy-config="),
			     rows[i].redirect);
		cr_expect_eq(begun(command.argv.items, "--work-dir="), rows[i].work_dir);
		cr_expect_eq(begun(command.argv.items, "--config-dir="), rows[i].config_dir);
		cr_expect_eq(begun(command.environ.items, "KUMA_DATAPLANE_RUNTIME_SOCKET_DIR="),
			     rows[i].config_dir);
		cr_expect_eq(begun(command.argv.items, "--dns-coredns-path="), rows[i].core_dns);
		cr_expect_eq(begun(command.argv.items, "--dns-server-config-dir="),
			     rows[i].core_dns);
		cr_expect_eq(begun(command.argv.items, "--dns-proxy-port="), rows[i].major == 3);
		cr_expect_eq(begun(command.environ.items, "KUMA_DNS_PROXY_PORT="),
			     rows[i].proxy_env);
		cr_expect(begun(command.environ.items, "KUMA_READINESS_PORT=9902"));
	}
}

Test(kuma_dp, of_an_unknown_version_is_taken_for_the_last_that_was_run)
{
	build(0, 0, CORE_DNS_KUMA_DP);
	cr_expect_eq(diags.n, 0);
	cr_expect(begun(command.argv.items, "--work-dir="));
	cr_expect(begun(command.argv.items, "--dns-coredns-path="));
}

Test(kuma_dp, of_an_unknown_major_version_is_refused)
{
	build(4, 0, CORE_DNS_EMBEDDED);
	cr_assert_eq(diags.n_errors, 1);
	cr_expect_str_eq(diags.items[0].setting, "kumaDP.path");
	cr_expect(strstr(diags.items[0].text, "kuma-dp 4.0 is no version whose flags are known"));
}

Test(kuma_dp, is_refused_a_dns_mode_that_it_lacks)
{
	build(2, 10, CORE_DNS_EMBEDDED);
	cr_assert_eq(diags.n_errors, 1);
	cr_expect_str_eq(diags.items[0].setting, "coreDNS.mode");
	cr_expect(strstr(diags.items[0].text, "kuma-dp 2.10 cannot answer DNS itself"));
	build(3, 0, CORE_DNS_KUMA_DP);
	cr_assert_eq(diags.n_errors, 2);
	cr_expect(strstr(diags.items[1].text, "kuma-dp 3.0 runs no coredns"));
}

Test(kuma_dp, answers_dns_itself_in_mode_embedded)
{
	build(2, 14, CORE_DNS_EMBEDDED);
	cr_expect(listed(command.environ.items, "KUMA_DNS_PROXY_PORT=15053"));
	cr_expect_not(begun(command.argv.items, "--dns-coredns"));
	cr_expect_not(begun(command.argv.items, "--dns-enabled"));
	cr_expect(given("/etc/resolv.conf"));
	build(3, 0, CORE_DNS_EMBEDDED);
	cr_expect(listed(command.argv.items, "--dns-proxy-port=15053"));
	cr_expect_not(begun(command.environ.items, "KUMA_DNS_PROXY_PORT="));
	cr_expect(given("/etc/resolv.conf"));
}

Test(kuma_dp, leaves_dns_to_our_coredns_in_mode_tproxyd)
{
	build(2, 14, CORE_DNS_TPROXYD);
	cr_expect(listed(command.argv.items, "--dns-enabled=false"));
	cr_expect(listed(command.argv.items, "--dns-envoy-port=15054"));
	cr_expect(listed(command.environ.items, "KUMA_DNS_PROXY_PORT=0"));
	cr_expect_not(begun(command.argv.items, "--dns-coredns"));
	build(3, 0, CORE_DNS_TPROXYD);
	cr_expect(listed(command.argv.items, "--dns-proxy-port=15054"));
	cr_expect_not(begun(command.argv.items, "--dns-enabled"));
}

Test(kuma_dp, does_no_dns_in_mode_off)
{
	build(2, 14, CORE_DNS_OFF);
	cr_expect(listed(command.argv.items, "--dns-enabled=false"));
	cr_expect(listed(command.environ.items, "KUMA_DNS_PROXY_PORT=0"));
	build(3, 0, CORE_DNS_OFF);
	cr_expect(listed(command.argv.items, "--dns-enabled=false"));
	cr_expect_not(begun(command.argv.items, "--dns-proxy-port="));
}

Test(kuma_dp, gets_the_users_corefile_for_its_coredns)
{
	plan.children.corefile = ".:{{ .CoreDNSPort }} {}";
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(listed(command.argv.items,
			 "--dns-coredns-config-template-path=/run/tproxyd/dp/Corefile.template"));
	cr_expect_str_eq(file_named("/run/tproxyd/dp/Corefile.template")->text,
			 ".:{{ .CoreDNSPort }} {}");
}

Test(kuma_dp, gets_private_copies_of_what_it_cannot_read)
{
	plan.children.token_private_copy = true;
	plan.children.dataplane_private_copy = true;
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(listed(command.argv.items, "--dataplane-token-file=/run/tproxyd/dp/token"));
	cr_expect(listed(command.argv.items, "--dataplane-file=/run/tproxyd/dp/dataplane.yaml"));
	cr_expect_str_eq(file_named("/run/tproxyd/dp/token")->text, "a.b.c");
	cr_expect_str_eq(file_named("/run/tproxyd/dp/dataplane.yaml")->text, "type: Dataplane");
	cr_expect_not(given("/etc/tproxyd/token"));
}

Test(kuma_dp, never_has_the_token_in_its_arguments_or_environment)
{
	plan.children.token_private_copy = true;
	build(2, 14, CORE_DNS_KUMA_DP);
	for (size_t i = 0; command.argv.items[i]; i++)
		cr_expect_not(strstr(command.argv.items[i], "a.b.c"));
	for (size_t i = 0; command.environ.items[i]; i++)
		cr_expect_not(strstr(command.environ.items[i], "a.b.c"));
}

Test(kuma_dp, gets_a_name_or_a_resource_but_not_both)
{
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect_not(begun(command.argv.items, "--name="));
	cr_expect_not(begun(command.argv.items, "--mesh="));
	plan.children.dataplane_file = NULL;
	plan.children.name = "web";
	plan.children.mesh = "default";
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(listed(command.argv.items, "--name=web"));
	cr_expect(listed(command.argv.items, "--mesh=default"));
	cr_expect_not(begun(command.argv.items, "--dataplane-file="));
}

Test(kuma_dp, gets_the_certificate)
{
	plan.children.ca_cert_file = "/etc/ca.pem";
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(listed(command.argv.items, "--ca-cert-file=/etc/ca.pem"));
	cr_expect(given("/etc/ca.pem"));
}

Test(kuma_dp, gets_variables_as_its_flags_are_parsed)
{
	struct pair vars[] = { { "a", "b, c" }, { "x", "y=\"1\",z" } };

	plan.children.dataplane_vars = (struct pair_list){ vars, 2 };
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect_eq(diags.n, 0);
	cr_expect(listed(command.argv.items, "--dataplane-var=a=b, c"));
	cr_expect(listed(command.argv.items, "--dataplane-var=\"x=y=\"\"1\"\",z\""));
}

Test(kuma_dp, is_refused_a_variable_that_it_would_change)
{
	struct pair vars[] = { { "a", "\"b\"" } };

	plan.children.dataplane_vars = (struct pair_list){ vars, 1 };
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_assert_eq(diags.n_errors, 1);
	cr_expect_str_eq(diags.items[0].setting, "kumaDP.dataplaneVars");
	cr_expect(strstr(diags.items[0].text, "would drop a double quote"));
}

Test(kuma_dp, gets_the_users_environment_instead_of_ours_and_arguments_at_the_end)
{
	struct pair env[] = { { "LANG", "de_DE" }, { "PATHS", "x" } };
	const char *args[] = { "--log-level=debug", "100%" };
	size_t n = 0;

	plan.children.env = (struct pair_list){ env, 2 };
	plan.children.extra_args = (struct string_list){ args, 2 };
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(listed(command.environ.items, "LANG=de_DE"));
	cr_expect_not(listed(command.environ.items, "LANG=C.UTF-8"));
	cr_expect(listed(command.environ.items, "PATHS=x"));
	cr_expect(listed(command.environ.items,
			 "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
	while (command.argv.items[n])
		n++;
	cr_expect_str_eq(command.argv.items[n - 2], "--log-level=debug");
	cr_expect_str_eq(command.argv.items[n - 1], "100%");
}

Test(equal, commands_start_the_same_process)
{
	struct command other;

	build(2, 14, CORE_DNS_KUMA_DP);
	other = command;
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect(command_equal(&command, &other));
}

static void expect_different(void)
{
	struct command changed;

	build(2, 14, CORE_DNS_KUMA_DP);
	changed = command;
	init();
	plan.children.token_private_copy = true;
	build(2, 14, CORE_DNS_KUMA_DP);
	cr_expect_not(command_equal(&command, &changed));
}

Test(equal, commands_differ_by_an_argument)
{
	plan.children.token_private_copy = true;
	plan.children.drain_time_nsec = 1;
	expect_different();
}

Test(equal, commands_differ_by_one_argument_more)
{
	const char *args[] = { "-x" };

	plan.children.token_private_copy = true;
	plan.children.extra_args = (struct string_list){ args, 1 };
	expect_different();
}

Test(equal, commands_differ_by_the_environment)
{
	struct pair env[] = { { "LANG", "C" } };

	plan.children.token_private_copy = true;
	plan.children.env = (struct pair_list){ env, 1 };
	expect_different();
}

Test(equal, commands_differ_by_a_files_text)
{
	plan.children.token_private_copy = true;
	plan.children.token = "a.b.d";
	expect_different();
}

Test(equal, commands_differ_by_the_redirect)
{
	plan.children.token_private_copy = true;
	plan.inbound.port = 15007;
	expect_different();
}

Test(equal, commands_differ_by_the_program)
{
	plan.children.token_private_copy = true;
	plan.children.kuma_dp = "/opt/kuma/bin/kuma-dp";
	expect_different();
}

/* Whether the same plan with another text makes another command. */
static bool counts(const char **text)
{
	struct command before;

	build(2, 14, CORE_DNS_KUMA_DP);
	before = command;
	*text = "changed";
	build(2, 14, CORE_DNS_KUMA_DP);
	return !command_equal(&command, &before);
}

Test(equal, commands_differ_by_what_the_users_files_hold)
{
	plan.children.ca_cert_file = "/etc/ca.pem";
	cr_expect(counts(&plan.children.token));
	cr_expect(counts(&plan.children.resource));
	cr_expect(counts(&plan.children.ca_cert));
	cr_expect_not(counts(&plan.children.resolv_conf));
}

/* coredns reads it once. */
Test(equal, commands_differ_by_resolv_conf_where_it_is_read)
{
	struct command before;

	plan.children.core_dns_alternate = true;
	command_core_dns(&arena, &plan, &before, &diags);
	plan.children.resolv_conf = "nameserver 192.0.2.1";
	command_core_dns(&arena, &plan, &command, &diags);
	cr_expect_not(command_equal(&command, &before));
}

Test(equal, commands_differ_by_the_place_of_a_word)
{
	const char *words[] = { "kuma-dp", "run", NULL };
	struct command a = { .argv = { words, 3 }, .environ = { words + 2, 1 } };
	struct command b = { .argv = { words + 2, 1 }, .environ = { words, 3 } };

	cr_expect_not(command_equal(&a, &b));
}
