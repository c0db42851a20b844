/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_load.h"

#include <stdio.h>

struct row {
	const char *text;
	const char *path;
	const char *value; /* NULL: refused */
};

static void check_files(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_fixture_ struct fixture f;

		fixture_file(&f, rows[i].text);
		if (!rows[i].value) {
			cr_assert_eq(f.diags.n_errors, 1, "%s: %s", rows[i].text, fixture_said(&f));
			cr_assert(fixture_says(&f, rows[i].path), "%s", fixture_said(&f));
			continue;
		}
		cr_assert_eq(f.diags.n, 0, "%s: %s", rows[i].text, fixture_said(&f));
		cr_assert_str_eq(fixture_value(&f, rows[i].path), rows[i].value, "%s: got %s",
				 rows[i].text, fixture_value(&f, rows[i].path));
	}
}

/* The text of a row is "NAME=value". */
static void check_variables(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_fixture_ struct fixture f;

		fixture_env(&f, rows[i].text);
		cr_assert_eq(f.diags.n_errors, rows[i].value ? 0 : 1, "%s: %s", rows[i].text,
			     fixture_said(&f));
		if (rows[i].value)
			cr_assert_str_eq(fixture_value(&f, rows[i].path), rows[i].value, "%s",
					 rows[i].text);
		else
			cr_assert(fixture_says(&f, rows[i].path), "%s", fixture_said(&f));
	}
}

#define ENV "KUMA_TRANSPARENT_PROXY_"

Test(switches, are_the_words_of_yaml_1_1_without_quotes)
{
	static const char *const yes[] = { "true", "True", "TRUE", "y",  "Y", "yes",
					   "Yes",  "YES",  "on",   "On", "ON" };
	static const char *const no[] = { "false", "False", "FALSE", "n",   "N",  "no",
					  "No",    "NO",    "off",   "Off", "OFF" };
	static const struct row rows[] = {
		{ "verbose: \"yes\"", "verbose", NULL },
		{ "verbose: 'true'", "verbose", NULL },
		{ "verbose: 1", "verbose", NULL },
		{ "verbose: tRUE", "verbose", NULL },
		{ "verbose: []", "verbose", NULL },
		{ "verbose: {}", "verbose", NULL },
		{ "verbose: null", "verbose", "false" },
		{ "redirect: {inbound: {enabled: }}", "redirect.inbound.enabled", "true" },
		{ "{\"verbose\": true}", "verbose", "true" },
	};

	for (size_t i = 0; i < ELEMENTS(yes); i++) {
		_fixture_ struct fixture f, g;
		char text[64];

		(void)snprintf(text, sizeof(text), "verbose: %s", yes[i]);
		fixture_file(&f, text);
		cr_assert_eq(f.diags.n, 0);
		cr_assert(f.loaded.config.verbose, "%s", yes[i]);
		(void)snprintf(text, sizeof(text), "redirect: {inbound: {enabled: %s}}", no[i]);
		fixture_file(&g, text);
		cr_assert_eq(g.diags.n, 0);
		cr_assert_not(g.loaded.config.redirect.inbound.enabled, "%s", no[i]);
	}
	check_files(rows, ELEMENTS(rows));
}

Test(switches, in_variables_and_flags_are_the_words_of_go)
{
	static const struct row rows[] = {
		{ ENV "VERBOSE=T", "verbose", "true" },    { ENV "VERBOSE=1", "verbose", "true" },
		{ ENV "VERBOSE=yes", "verbose", NULL },    { ENV "VERBOSE=", "verbose", NULL },
		{ ENV "VERBOSE=True", "verbose", "true" }, { ENV "VERBOSE=tRUE", "verbose", NULL },
	};
	_fixture_ struct fixture f;

	check_variables(rows, ELEMENTS(rows));
	fixture_flag(&f, "redirect-inbound", "F");
	cr_assert_not(f.loaded.config.redirect.inbound.enabled);
}

Test(ports, in_files_are_plain_numbers)
{
	static const struct row rows[] = {
		{ "redirect: {dns: {port: 15000}}", "redirect.dns.port", "15000" },
		{ "redirect: {dns: {port: 0x50}}", "redirect.dns.port", "80" },
		{ "redirect: {dns: {port: 010}}", "redirect.dns.port", "8" },
		{ "redirect: {dns: {port: 0o17}}", "redirect.dns.port", "15" },
		{ "redirect: {dns: {port: 80.0}}", "redirect.dns.port", "80" },
		{ "redirect: {dns: {port: 1e3}}", "redirect.dns.port", "1000" },
		{ "redirect: {dns: {port: 8_0}}", "redirect.dns.port", "80" },
		{ "redirect: {dns: {port: +80}}", "redirect.dns.port", "80" },
		{ "redirect: {dns: {port: 080}}", "redirect.dns.port", "80" },
		{ "redirect: {dns: {port: \"15000\"}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: 70000}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: 0}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: -1}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: 80.5}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: null}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: }}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: [80]}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: .inf}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: .nan}}", "redirect.dns.port", NULL },
		{ "redirect: {dns: {port: 1:30}}", "redirect.dns.port", NULL },
	};

	check_files(rows, ELEMENTS(rows));
}

Test(ports, in_variables_are_plain_decimal)
{
	static const struct row rows[] = {
		{ ENV "REDIRECT_DNS_PORT=00080", "redirect.dns.port", "80" },
		{ ENV "REDIRECT_DNS_PORT=0x50", "redirect.dns.port", NULL },
		{ ENV "REDIRECT_DNS_PORT= 80", "redirect.dns.port", NULL },
		{ ENV "REDIRECT_DNS_PORT=+80", "redirect.dns.port", NULL },
		{ ENV "REDIRECT_DNS_PORT=", "redirect.dns.port", NULL },
	};

	check_variables(rows, ELEMENTS(rows));
}

#define EXCLUDE(value) "redirect: {inbound: {excludePorts: " value "}}"

Test(port_lists, take_numbers_texts_and_comma_lists)
{
	static const struct row rows[] = {
		{ EXCLUDE("[80, 443]"), "redirect.inbound.excludePorts", "80,443" },
		{ EXCLUDE("[\"80\", '443']"), "redirect.inbound.excludePorts", "80,443" },
		{ EXCLUDE("[\"80, 81\", 443]"), "redirect.inbound.excludePorts", "80,81,443" },
		{ EXCLUDE("80"), "redirect.inbound.excludePorts", "80" },
		{ EXCLUDE("\"80,443\""), "redirect.inbound.excludePorts", "80,443" },
		{ EXCLUDE("[0x50, 1e2, 8.0]"), "redirect.inbound.excludePorts", "80,100,8" },
		{ EXCLUDE("[]"), "redirect.inbound.excludePorts", "" },
		{ EXCLUDE("\"\""), "redirect.inbound.excludePorts", "" },
		{ EXCLUDE("[80-90]"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("null"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE(""), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("true"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("{}"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("8.5"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("[80, true]"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("[80, null]"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("[80, [81]]"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("[0]"), "redirect.inbound.excludePorts", NULL },
		{ EXCLUDE("[65536]"), "redirect.inbound.excludePorts", NULL },
	};

	check_files(rows, ELEMENTS(rows));
}

Test(port_lists, in_variables_skip_empty_items)
{
	static const struct row rows[] = {
		{ ENV "REDIRECT_INBOUND_EXCLUDE_PORTS= 80 ,,443,", "redirect.inbound.excludePorts",
		  "80,443" },
		{ ENV "REDIRECT_INBOUND_EXCLUDE_PORTS=", "redirect.inbound.excludePorts", "" },
		{ ENV "REDIRECT_INBOUND_EXCLUDE_PORTS=80-90", "redirect.inbound.excludePorts",
		  NULL },
	};

	check_variables(rows, ELEMENTS(rows));
}

Test(port_lists, report_every_wrong_item_at_its_place)
{
	_fixture_ struct fixture f;

	fixture_file(&f, EXCLUDE("[x, 80, true]"));
	cr_assert_eq(f.diags.n_errors, 2);
	cr_assert_eq(f.diags.items[0].origin.column, 37);
	cr_assert_eq(f.diags.items[1].origin.column, 44);
}

Test(whole_numbers, take_what_is_a_number)
{
	static const struct row rows[] = {
		{ "wait: 5.0", "wait", "5" },         { "wait: 5e0", "wait", "5" },
		{ "wait: 05", "wait", "5" },          { "wait: -0", "wait", "0" },
		{ "wait: null", "wait", "5" },        { "wait: \"5\"", "wait", NULL },
		{ "wait: -1", "wait", NULL },         { "wait: 5.5", "wait", NULL },
		{ "wait: 1:30", "wait", NULL },       { "wait: true", "wait", NULL },
		{ "wait: 4294967296", "wait", NULL }, { "log: {level: 65536}", "log.level", NULL },
	};
	static const struct row variables[] = {
		{ ENV "WAIT=0x10", "wait", "16" }, { ENV "WAIT=010", "wait", "8" },
		{ ENV "WAIT=1_0", "wait", "10" },  { ENV "WAIT=", "wait", NULL },
		{ ENV "WAIT=-1", "wait", NULL },   { ENV "WAIT=5.0", "wait", NULL },
	};

	check_files(rows, ELEMENTS(rows));
	check_variables(variables, ELEMENTS(variables));
}

Test(texts, are_what_yaml_1_1_makes_of_unquoted_words)
{
	static const struct row rows[] = {
		{ "kumaDPUser: 5678", "kumaDPUser", "5678" },
		{ "kumaDPUser: 5678.0", "kumaDPUser", "5678" },
		{ "kumaDPUser: 5.678e3", "kumaDPUser", "5678" },
		{ "kumaDPUser: 5_678", "kumaDPUser", "5678" },
		{ "kumaDPUser: 0x162e", "kumaDPUser", "5678" },
		{ "kumaDPUser: 010", "kumaDPUser", "8" },
		{ "kumaDPUser: \"010\"", "kumaDPUser", "010" },
		{ "kumaDPUser: !!str 010", "kumaDPUser", "010" },
		{ "kumaDPUser: ! 010", "kumaDPUser", "010" },
		{ "kumaDPUser: &a 010", "kumaDPUser", "8" },
		{ "kumaDPUser: !!int \"010\"", "kumaDPUser", "8" },
		{ "kumaDPUser: !!binary cm9vdA==", "kumaDPUser", "root" },
		{ "kumaDPUser: yes", "kumaDPUser", "true" },
		{ "kumaDPUser: 1.5", "kumaDPUser", "1.5" },
		{ "kumaDPUser: 1:30", "kumaDPUser", "1:30" },
		{ "kumaDPUser: 2001-12-14", "kumaDPUser", "2001-12-14" },
		{ "kumaDPUser: 09x", "kumaDPUser", "09x" },
		{ "kumaDPUser: 1e400", "kumaDPUser", "1e400" }, /* no number can be that */
		{ "kumaDPUser: ~", "kumaDPUser", "" },
		{ "kumaDPUser: []", "kumaDPUser", NULL },
		{ "kumaDPUser: {}", "kumaDPUser", NULL },
		{ "kumaDPUser: \"a\\nb\"", "kumaDPUser", NULL },
		{ "kumaDPUser: \"a\\x7f\"", "kumaDPUser", NULL },
	};

	check_files(rows, ELEMENTS(rows));
}

Test(texts, that_are_not_clean_are_refused_from_everywhere)
{
	static const struct row rows[] = {
		{ ENV "KUMA_DP_USER=a\nb", "kumaDPUser", NULL },
		{ ENV "KUMA_DP_USER=\xff", "kumaDPUser", NULL },
		{ ENV "REDIRECT_VNET_NETWORKS=a\tb", "redirect.vnet.networks", NULL },
	};
	_fixture_ struct fixture f;

	check_variables(rows, ELEMENTS(rows));
	fixture_flag(&f, "exclude-inbound-ips", "10.0.0.1\n");
	cr_assert_eq(f.diags.n_errors, 1);
}

Test(text_lists, in_files_are_lists)
{
	static const struct row rows[] = {
		{ "redirect: {vnet: {networks: [a, 1, 1e3, 1.0, 0o10, 1_0, yes]}}",
		  "redirect.vnet.networks", "a,1,1000,1,8,10,true" },
		{ "redirect: {vnet: {networks: [tcp:53,80:1000]}}", "redirect.vnet.networks",
		  "tcp:53,80:1000" },
		{ "redirect: {vnet: {networks: []}}", "redirect.vnet.networks", "" },
		{ "redirect: {vnet: {networks: }}", "redirect.vnet.networks", "" },
		{ "redirect: {vnet: {networks: a}}", "redirect.vnet.networks", NULL },
		{ "redirect: {vnet: {networks: [[a]]}}", "redirect.vnet.networks", NULL },
		{ "redirect: {vnet: {networks: [a: b]}}", "redirect.vnet.networks", NULL },
	};
	_fixture_ struct fixture f;

	check_files(rows, ELEMENTS(rows));
	fixture_file(&f, "redirect: {vnet: {networks: [a, null, \"b,c\"]}}");
	cr_assert_eq(f.loaded.config.redirect.vnet.networks.n, 3);
	cr_assert_str_eq(f.loaded.config.redirect.vnet.networks.items[1], "");
	cr_assert_str_eq(f.loaded.config.redirect.vnet.networks.items[2], "b,c");
}

Test(text_lists, in_variables_are_cut_at_every_comma)
{
	static const struct row rows[] = {
		{ ENV "REDIRECT_VNET_NETWORKS=a, b ,c", "redirect.vnet.networks", "a, b ,c" },
		{ "TPROXYD_KUMA_DP_EXTRA_ARGS=a, b ,c", "kumaDP.extraArgs", "a,b,c" },
		{ ENV "REDIRECT_VNET_NETWORKS= ", "redirect.vnet.networks", "" },
		{ ENV "REDIRECT_VNET_NETWORKS=", "redirect.vnet.networks", "" },
	};

	check_variables(rows, ELEMENTS(rows));
}

Test(mappings, take_texts_by_name)
{
	static const struct row rows[] = {
		{ "kumaDP: {dataplaneVars: {name: web, port: 8080, on: yes}}",
		  "kumaDP.dataplaneVars", "name=web,port=8080,true=true" },
		{ "kumaDP: {dataplaneVars: {a: }}", "kumaDP.dataplaneVars", "a=" },
		{ "kumaDP: {dataplaneVars: }", "kumaDP.dataplaneVars", "" },
		{ "kumaDP: {dataplaneVars: [a]}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP: {dataplaneVars: {a: 1, a: 2}}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP: {dataplaneVars: {a: [1]}}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP: {dataplaneVars: {~: 1}}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP: {dataplaneVars: {<<: {a: 1}}}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP: {dataplaneVars: {[a]: 1}}", "kumaDP.dataplaneVars", NULL },
		{ "kumaDP:\n  env:\n    A: |\n      one\n      two", "kumaDP.env", "A=one\ntwo" },
	};
	static const struct row variables[] = {
		{ "TPROXYD_KUMA_DP_ENV=A=1, B=2=3,", "kumaDP.env", "A=1,B=2=3" },
		{ "TPROXYD_KUMA_DP_ENV=A=1,A=2", "kumaDP.env", "A=2" },
		{ "TPROXYD_KUMA_DP_ENV=", "kumaDP.env", "" },
		{ "TPROXYD_KUMA_DP_ENV=A", "kumaDP.env", NULL },
		{ "TPROXYD_KUMA_DP_ENV==1", "kumaDP.env", NULL },
	};

	check_files(rows, ELEMENTS(rows));
	check_variables(variables, ELEMENTS(variables));
}

Test(executables, are_known_by_name)
{
	static const struct row rows[] = {
		{ "iptablesExecutables: {iptables: /a, Iptables-Save: /b}", "iptablesExecutables",
		  "iptables:/a,iptables-save:/b" },
		{ "iptablesExecutables: null", "iptablesExecutables", "" },
		{ "iptablesExecutables: {nft: /a}", "iptablesExecutables", NULL },
		{ "iptablesExecutables: \"iptables:/a\"", "iptablesExecutables", NULL },
	};
	static const struct row variables[] = {
		{ ENV "IPTABLES_EXECUTABLES=iptables:/a:b,,ip6tables:/c", "iptablesExecutables",
		  "iptables:/a:b,ip6tables:/c" },
		{ ENV "IPTABLES_EXECUTABLES=iptables", "iptablesExecutables", NULL },
		{ ENV "IPTABLES_EXECUTABLES=nft:/a", "iptablesExecutables", NULL },
	};

	check_files(rows, ELEMENTS(rows));
	check_variables(variables, ELEMENTS(variables));
}

#define SLEEP(value) "retry: {sleepBetweenRetries: " value "}"

Test(durations, of_kumactl_may_be_nanoseconds_in_files)
{
	static const struct row rows[] = {
		{ SLEEP("1m30s"), "retry.sleepBetweenRetries", "1m30s" },
		{ SLEEP("5"), "retry.sleepBetweenRetries", "5ns" },
		{ SLEEP("5.5"), "retry.sleepBetweenRetries", "5ns" },
		{ SLEEP("1e9"), "retry.sleepBetweenRetries", "1s" },
		{ SLEEP("-1s"), "retry.sleepBetweenRetries", "-1s" },
		{ SLEEP("\"0\""), "retry.sleepBetweenRetries", "0s" },
		{ SLEEP("\"5\""), "retry.sleepBetweenRetries", NULL },
		{ SLEEP("null"), "retry.sleepBetweenRetries", NULL },
		{ SLEEP("true"), "retry.sleepBetweenRetries", NULL },
		{ SLEEP("[1s]"), "retry.sleepBetweenRetries", NULL },
		{ SLEEP("9223372036854775808"), "retry.sleepBetweenRetries", NULL },
		{ SLEEP(".inf"), "retry.sleepBetweenRetries", NULL },
		{ "kumaDP: {drainTime: 3m}", "kumaDP.drainTime", "3m" },
		{ "kumaDP: {drainTime: 1h0m5s}", "kumaDP.drainTime", "1h0m5s" },
		{ "kumaDP: {drainTime: 2h}", "kumaDP.drainTime", "2h" },
		{ "kumaDP: {drainTime: 30}", "kumaDP.drainTime", NULL },
		{ "failure: {holdRules: 0}", "failure.holdRules", "0s" },
		{ "failure: {holdRules: Infinity}", "failure.holdRules", "infinity" },
		{ "kumaDP: {drainTime: infinity}", "kumaDP.drainTime", NULL },
	};

	check_files(rows, ELEMENTS(rows));
}

Test(durations, in_flags_may_be_json_where_kumactl_wants_it)
{
	static const struct {
		const char *flag, *value, *path, *printed;
	} rows[] = {
		{ "sleep-between-retries", "3s", "retry.sleepBetweenRetries", "3s" },
		{ "sleep-between-retries", "\"3s\"", "retry.sleepBetweenRetries", "3s" },
		{ "sleep-between-retries", "1000", "retry.sleepBetweenRetries", "1\xc2\xb5s" },
		{ "sleep-between-retries", "1e3", "retry.sleepBetweenRetries", "1\xc2\xb5s" },
		{ "sleep-between-retries", " \"3s\"\n", "retry.sleepBetweenRetries", "3s" },
		{ "sleep-between-retries", "3, 4", "retry.sleepBetweenRetries", NULL },
		{ "sleep-between-retries", "\"3\"", "retry.sleepBetweenRetries", NULL },
		{ "sleep-between-retries", "", "retry.sleepBetweenRetries", NULL },
		{ "kuma-dp-drain-time", "\"3s\"", "kumaDP.drainTime", NULL },
		{ "kuma-dp-drain-time", "3", "kumaDP.drainTime", NULL },
		{ "failure-hold-rules", "infinity", "failure.holdRules", "infinity" },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		_fixture_ struct fixture f;

		fixture_flag(&f, rows[i].flag, rows[i].value);
		cr_assert_eq(f.diags.n_errors, rows[i].printed ? 0 : 1, "%s", rows[i].value);
		if (rows[i].printed)
			cr_assert_str_eq(fixture_value(&f, rows[i].path), rows[i].printed);
	}
}

Test(durations, in_variables_are_text_alone)
{
	static const struct row rows[] = {
		{ ENV "RETRY_SLEEP_BETWEEN_RETRIES=1.5s", "retry.sleepBetweenRetries", "1.5s" },
		{ ENV "RETRY_SLEEP_BETWEEN_RETRIES=1000", "retry.sleepBetweenRetries", NULL },
		{ ENV "RETRY_SLEEP_BETWEEN_RETRIES=\"1s\"", "retry.sleepBetweenRetries", NULL },
		{ ENV "RETRY_SLEEP_BETWEEN_RETRIES=", "retry.sleepBetweenRetries", NULL },
	};

	check_variables(rows, ELEMENTS(rows));
}

Test(words, match_in_any_case_and_are_stored_in_lower_case)
{
	static const struct row rows[] = {
		{ "ipFamilyMode: IPv4", "ipFamilyMode", "ipv4" },
		{ "ipFamilyMode: DUALSTACK", "ipFamilyMode", "dualstack" },
		{ "ipFamilyMode: \"\"", "ipFamilyMode", "dualstack" },
		{ "ipFamilyMode: null", "ipFamilyMode", "dualstack" },
		{ "ipFamilyMode: ipv6", "ipFamilyMode", NULL },
		{ "ipFamilyMode: 4", "ipFamilyMode", NULL },
		{ "ipFamilyMode: [ipv4]", "ipFamilyMode", NULL },
		{ "coreDNS: {mode: off}", "coreDNS.mode", "off" },
		{ "coreDNS: {mode: \"off\"}", "coreDNS.mode", "off" },
		{ "coreDNS: {mode: no}", "coreDNS.mode", NULL },
		{ "safety: {protectSSH: off}", "safety.protectSSH", "false" },
		{ "safety: {protectSSH: yes}", "safety.protectSSH", "true" },
		{ "safety: {protectSSH: auto}", "safety.protectSSH", "auto" },
		{ "safety: {protectSSH: maybe}", "safety.protectSSH", NULL },
	};
	static const struct row variables[] = {
		{ ENV "IP_FAMILY_MODE=IPV4", "ipFamilyMode", "ipv4" },
		{ ENV "IP_FAMILY_MODE=", "ipFamilyMode", "dualstack" },
		{ ENV "IP_FAMILY_MODE=foo", "ipFamilyMode", NULL },
		{ "TPROXYD_SAFETY_PROTECT_SSH=1", "safety.protectSSH", "true" },
		{ "TPROXYD_CORE_DNS_MODE=0", "coreDNS.mode", NULL },
	};

	check_files(rows, ELEMENTS(rows));
	check_variables(variables, ELEMENTS(variables));
}

Test(sentences, say_what_was_found_and_what_is_allowed)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect:\n  inbound:\n    port: \"15000\"\n    enabled: 5\n"
			 "coreDNS: {mode: of}\nwait: []\n");
	cr_assert_str_eq(
		fixture_said(&f),
		"t.yaml:3:11: error: redirect.inbound.port: the text \"15000\", in quotes, is found "
		"where a port from 1 to 65535 is expected\n"
		"t.yaml:4:14: error: redirect.inbound.enabled: \"5\" is found where true or false "
		"is expected\n"
		"t.yaml:5:17: error: coreDNS.mode: \"of\" is found where one of auto, kuma-dp, "
		"tproxyd, embedded, off is expected\n"
		"t.yaml:6:7: error: wait: a list is found where a whole number from 0 to 4294967295 "
		"is expected\n");
}

Test(sentences, quote_values_without_their_control_characters)
{
	_fixture_ struct fixture f;

	fixture_env(&f,
		    ENV "REDIRECT_DNS_PORT=\x1b[31m\n\xff"
			"0123456789012345678901234567890123456789012345678901234567890123456789");
	cr_assert(fixture_says(&f, "\"\\x1b[31m\\n\\xff0123"));
	cr_assert(fixture_says(&f, "...\" is found"));
}
