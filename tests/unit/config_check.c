/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_load.h"

#include <stdio.h>

#include "common/config/check.h"

/* Enough for `run`; a test's own text follows. */
#define HEAD "kumaDP: {cpAddress: 'https://cp:5678', tokenFile: /t, dataplaneFile: /d}\n"

static void check_file(struct fixture *f, const char *text, enum check_purpose purpose)
{
	fixture_file(f, text);
	check_config(&f->loaded, purpose, &f->diags);
}

static void check_env(struct fixture *f, const char *variable, enum check_purpose purpose)
{
	fixture_env(f, variable);
	check_config(&f->loaded, purpose, &f->diags);
}

static void expect_run(const char *text, const char *said)
{
	_fixture_ struct fixture f;

	check_file(&f, text, CHECK_RUN);
	cr_assert_str_eq(fixture_said(&f), said, "%s: %s", text, fixture_said(&f));
}

static void expect_install(const char *text, const char *said)
{
	_fixture_ struct fixture f;

	check_file(&f, text, CHECK_INSTALL);
	cr_assert_str_eq(fixture_said(&f), said, "%s: %s", text, fixture_said(&f));
}

Test(check, has_nothing_to_say_about_a_plain_configuration)
{
	expect_run(HEAD, "");
	expect_install("", "");
	expect_install("failure: {holdRules: infinity}\nkumaDP: {cpAddress: nonsense}\n", "");
}

Test(check, wants_what_run_cannot_do_without)
{
	expect_run("", "error: kumaDP.cpAddress: is needed: the URL of the control plane, "
		       "https://HOST:PORT\n"
		       "error: kumaDP.tokenFile: is needed: the file with the data plane token\n"
		       "error: kumaDP.dataplaneFile: is needed: the file with the Dataplane "
		       "resource (or kumaDP.name, for one that the control plane has already)\n");
	expect_run("kumaDP: {cpAddress: 'https://cp:5678', tokenFile: /t, name: web}", "");
}

Test(check, does_not_ask_for_what_it_could_not_read)
{
	_fixture_ struct fixture f, g;

	check_file(&f, "kumaDP: [", CHECK_RUN);
	cr_assert_eq(f.diags.n, 1, "%s", fixture_said(&f));
	check_file(&g, "kumaDP: {cpAddress: [], tokenFile: /t, dataplaneFile: /d}", CHECK_RUN);
	cr_assert_eq(g.diags.n, 1, "%s", fixture_said(&g));
}

Test(check, takes_one_dataplane)
{
	expect_run(HEAD "kumadp: {}\n", "t.yaml:2:1: error: kumadp: the key is there twice\n");
	expect_run("kumaDP:\n  cpAddress: https://cp:5678\n  tokenFile: /t\n"
		   "  dataplaneFile: /d\n  name: web\n",
		   "t.yaml:5:9: error: kumaDP.name: and kumaDP.dataplaneFile are both set; only "
		   "one of them can be\n");
	expect_run("kumaDP:\n  cpAddress: https://cp:5678\n  tokenFile: /t\n  name: web\n"
		   "  mesh: \"\"\n  dataplaneVars: {a: b}\n",
		   "t.yaml:5:9: error: kumaDP.mesh: is empty; with kumaDP.name it has to name the "
		   "mesh\n"
		   "t.yaml:6:18: warning: kumaDP.dataplaneVars: has no effect without "
		   "kumaDP.dataplaneFile\n");
	expect_run("kumaDP:\n  cpAddress: https://cp:5678\n  tokenFile: /t\n"
		   "  dataplaneFile: /d\n  mesh: other\n",
		   "t.yaml:5:9: warning: kumaDP.mesh: has no effect with kumaDP.dataplaneFile: the "
		   "resource names its mesh\n");
}

static void expect_address(const char *url, const char *fault)
{
	_fixture_ struct fixture f;
	char text[200];

	(void)snprintf(text, sizeof(text),
		       "kumaDP: {tokenFile: /t, dataplaneFile: /d, cpAddress: '%s'}", url);
	check_file(&f, text, CHECK_RUN);
	if (fault)
		cr_assert(fixture_says(&f, fault), "%s: %s", url, fixture_said(&f));
	else
		cr_assert_eq(f.diags.n, 0, "%s: %s", url, fixture_said(&f));
}

Test(check, takes_https_urls_of_a_control_plane)
{
	expect_address("https://cp.example:5678", NULL);
	expect_address("https://cp", NULL);
	expect_address("https://10.0.0.1:5678/", NULL);
	expect_address("https://[fd00::1]:5678/path", NULL);
	expect_address("http://cp:5678", "does not begin with https://");
	expect_address("cp:5678", "does not begin with https://");
	expect_address("https://", "no host");
	expect_address("https://:5678", "no host");
	expect_address("https://cp:0", "port is not one");
	expect_address("https://cp:", "port is not one");
	expect_address("https://cp:123456789", "port is not one");
	expect_address("https://cp:56x", "port is not one");
	expect_address("https://[fd00::1", "no IPv6 address");
	expect_address("https://[]:1", "no IPv6 address");
	expect_address("https://user@cp", "only :PORT and a path");
	expect_address("https://cp/a b", "its path");
}

Test(check, takes_absolute_paths)
{
	static const char *const keys[] = { "path", "envoyPath", "caCertFile", "tokenFile",
					    "dataplaneFile" };

	for (size_t i = 0; i < ELEMENTS(keys); i++) {
		_fixture_ struct fixture f;
		char text[100], said[100];

		(void)snprintf(text, sizeof(text), "kumaDP: {%s: etc/x}", keys[i]);
		(void)snprintf(said, sizeof(said),
			       "error: kumaDP.%s: \"etc/x\" is not an absolute path", keys[i]);
		check_file(&f, text, CHECK_RUN);
		cr_assert(fixture_says(&f, said), "%s", fixture_said(&f));
	}
	expect_run(HEAD "coreDNS: {corefile: a, path: b}\n",
		   "t.yaml:2:30: error: coreDNS.path: \"b\" is not an absolute path: it has to "
		   "begin with /\n"
		   "t.yaml:2:21: error: coreDNS.corefile: \"a\" is not an absolute path: it has to "
		   "begin with /\n");
	expect_install("redirect: {dns: {resolvConfigPath: resolv.conf}}", "");
	expect_install("redirect: {dns: {resolvConfigPath: ''}}",
		       "t.yaml:1:36: error: redirect.dns.resolvConfigPath: is empty; it has to "
		       "name a file, as /etc/resolv.conf\n");
}

Test(check, refuses_inbound_exclusions_by_user)
{
	static const char text[] = "t.yaml:1:44: error: redirect.inbound.excludePortsForUIDs: "
				   "cannot be used: an inbound packet has no user, and iptables "
				   "would exclude everything; "
				   "redirect.outbound.excludePortsForUIDs can\n";

	expect_install("redirect: {inbound: {excludePortsForUIDs:  ['1']}}", text);
	expect_install("redirect: {inbound: {excludePortsForUIDs: []}}", "");
}

Test(check, warns_of_exclusions_that_inclusions_void)
{
	expect_install("redirect:\n  inbound: {includePorts: 1, excludePorts: 2}\n"
		       "  outbound: {includePorts: 1, excludePorts: 2}\n",
		       "t.yaml:2:44: warning: redirect.inbound.excludePorts: has no effect: "
		       "redirect.inbound.includePorts is set\n"
		       "t.yaml:3:45: warning: redirect.outbound.excludePorts: has no effect: "
		       "redirect.outbound.includePorts is set\n");
}

Test(check, limits_the_level_of_logs)
{
	expect_install("log: {level: 7}", "");
	expect_install("log: {level: 8}", "t.yaml:1:14: error: log.level: is more than 7; 0 "
					  "(emergency) to 7 (debug) can be used\n");
}

Test(check, keeps_dry_runs_for_install)
{
	expect_install("dryRun: true", "");
	expect_run(HEAD "dryRun: true",
		   "t.yaml:2:9: error: dryRun: cannot be used by the service; \"tproxyd install "
		   "--dry-run\" prints the rules\n");
}

Test(check, warns_when_nothing_is_redirected)
{
	expect_install("redirect: {inbound: {enabled: no}, outbound: {enabled: no}}",
		       "t.yaml:1:56: warning: redirect.outbound.enabled: nothing is redirected: "
		       "redirect.inbound.enabled, redirect.outbound.enabled and "
		       "redirect.dns.enabled are all false\n");
	expect_install("redirect: {inbound: {enabled: no}, outbound: {enabled: no}, "
		       "dns: {captureAll: yes}}",
		       "");
}

Test(check, wants_somebody_to_answer_dns)
{
	static const char off[] = "t.yaml:2:17: error: coreDNS.mode: is off while "
				  "redirect.dns.enabled (or captureAll) is true: nobody would "
				  "answer\n";

	expect_run(HEAD "coreDNS: {mode: off}\nredirect: {dns: {enabled: true}}", off);
	expect_run(HEAD "coreDNS: {mode: off}\nredirect: {dns: {captureAll: true}}", off);
	expect_run(HEAD "coreDNS: {mode: off}\n", "");
	expect_run(HEAD "coreDNS: {mode: tproxyd}\n",
		   "t.yaml:2:17: warning: coreDNS.mode: starts a DNS server that nothing is "
		   "redirected to: redirect.dns.enabled is false\n");
	expect_run(HEAD "coreDNS: {mode: embedded, corefile: /c}\n",
		   "t.yaml:2:37: error: coreDNS.corefile: can be used only where coreDNS.mode is "
		   "auto, kuma-dp or tproxyd\n");
	expect_run(HEAD "coreDNS: {corefile: /c}\n", "");
}

Test(check, warns_of_safety_that_is_off)
{
	expect_run(HEAD "safety: {keepConnections: false, protectSSH: no}\n",
		   "t.yaml:2:27: warning: safety.keepConnections: is false: open TCP connections "
		   "may be reset when the redirect is switched on\n"
		   "t.yaml:2:46: warning: safety.protectSSH: is false: SSH goes through the proxy, "
		   "and a proxy that fails locks you out\n");
	expect_install("safety: {keepConnections: false, protectSSH: no}\n", "");
}

Test(check, wants_durations_that_make_sense)
{
	expect_run(HEAD "readiness: {timeout: 0s, interval: -1s}\n",
		   "t.yaml:2:22: error: readiness.timeout: has to be longer than 0s\n"
		   "t.yaml:2:36: error: readiness.interval: has to be longer than 0s\n");
	expect_run(HEAD "readiness: {timeout: 1s, interval: 2s}\n",
		   "t.yaml:2:36: error: readiness.interval: is longer than readiness.timeout\n");
	expect_run(HEAD "restart: {delay: 31s, maxDelay: 29s}\nfailure: {holdRules: -1s}\n",
		   "t.yaml:2:18: error: restart.delay: is longer than restart.maxDelay\n"
		   "t.yaml:3:22: error: failure.holdRules: cannot be negative\n");
	expect_run(HEAD "restart: {delay: 0s}\n",
		   "t.yaml:2:18: error: restart.delay: has to be longer than 0s\n");
	expect_run(HEAD "failure: {holdRules: 0s}\nrestart: {delay: 1ms, maxDelay: 1ms}\n", "");
	expect_run(HEAD "failure: {holdRules: infinity}\nrestart: {maxDelay: 1h}\n", "");
	expect_run("kumaDP: {cpAddress: 'https://c', tokenFile: /t, name: n, drainTime: 0}",
		   "t.yaml:1:69: error: kumaDP.drainTime: has to be longer than 0s\n");
}

Test(check, refuses_what_a_backend_cannot_do)
{
	expect_install("backend: nftables", "");
	expect_run(HEAD "backend: nftables", "");
	expect_run(HEAD "backend: iptables", "");
	expect_install("backend: nftables\ndryRun: true", "");
	expect_install("backend: nftables\ndryRun: true\nstoreFirewalld: true",
		       "t.yaml:3:17: error: storeFirewalld: cannot be used with backend: nftables: "
		       "what firewalld stores are rules of iptables\n");
}

Test(check, says_why_the_service_stores_nothing_for_firewalld)
{
	expect_install("storeFirewalld: true", "");
	expect_run(HEAD "storeFirewalld: true",
		   "t.yaml:2:17: notice: storeFirewalld: has no effect in the service, which puts "
		   "the rules in whenever it starts; direct rules would make firewalld flush all "
		   "tables of iptables at every reload, these rules too\n");
	expect_run(HEAD "storeFirewalld: false", "");
}

Test(check, notes_what_means_nothing_here)
{
	_fixture_ struct fixture f;

	expect_run(HEAD "cniMode: true\nebpf: {enabled: true, instanceIP: 10.0.0.1}\n",
		   "t.yaml:2:10: notice: cniMode: is accepted because kumactl knows it; it has no "
		   "effect here\n"
		   "t.yaml:3:17: notice: ebpf.enabled: is accepted because kumactl knows it; it "
		   "has no effect here\n"
		   "t.yaml:3:35: notice: ebpf.instanceIP: is accepted because kumactl knows it; it "
		   "has no effect here\n");
	check_file(&f, "iptablesExecutables: {iptables: /x}", CHECK_INSTALL);
	cr_assert_eq(f.diags.n, 1);
	cr_assert_eq(f.diags.items[0].severity, SEVERITY_NOTICE);
}

Test(check, wants_of_ebpf_what_kumactl_wants)
{
	expect_install("ebpf: {enabled: no}", "t.yaml:1:17: notice: ebpf.enabled: is accepted "
					      "because kumactl knows it; it has no effect here\n");
	expect_install(
		"ebpf: {enabled: yes}",
		"error: ebpf.instanceIP: is needed where ebpf.enabled is true\n"
		"t.yaml:1:17: notice: ebpf.enabled: is accepted because kumactl knows it; it "
		"has no effect here\n");
}

Test(check, gives_each_direction_a_port_of_its_own)
{
	expect_install("redirect: {inbound: {port: 15001}}",
		       "t.yaml:1:28: error: redirect.inbound.port: is 15001, as "
		       "redirect.outbound.port; each needs a port of its own\n");
	expect_install("redirect: {inbound: {port: 7000}, outbound: {port: 7000}}",
		       "t.yaml:1:52: error: redirect.outbound.port: is 7000, as "
		       "redirect.inbound.port; each needs a port of its own\n");
	expect_install("redirect: {inbound: {port: 15001}, outbound: {enabled: false}}", "");
	expect_install("redirect: {dns: {port: 15006}}", "");
	expect_install("redirect: {dns: {port: 15006, captureAll: true}}",
		       "t.yaml:1:24: error: redirect.dns.port: is 15006, as redirect.inbound.port; "
		       "each needs a port of its own\n");
}

#define CHAIN "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME="

Test(check, takes_names_that_a_chain_can_have)
{
	static const struct {
		const char *variable, *part;
	} rows[] = {
		{ CHAIN "A-b_9", NULL },
		{ CHAIN "123456789012345678", NULL },
		{ CHAIN "1234567890123456789",
		  "is too long: at most 18 characters can follow KUMA_MESH_" },
		{ CHAIN "", "is empty" },
		{ CHAIN "a b", "letters, digits, _ and - can be used" },
		{ CHAIN "OUTBOUND",
		  "redirect.inbound.chainName: is \"OUTBOUND\", as redirect.outbound.chainName" },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		_fixture_ struct fixture f;

		check_env(&f, rows[i].variable, CHECK_INSTALL);
		cr_assert_eq(f.diags.n, rows[i].part ? 1 : 0, "%s: %s", rows[i].variable,
			     fixture_said(&f));
		if (rows[i].part)
			cr_assert(fixture_says(&f, rows[i].part), "%s", fixture_said(&f));
	}
}

Test(check, judges_what_is_handed_over)
{
	_fixture_ struct fixture f;

	check_file(&f,
		   "kumaDP:\n  cpAddress: https://c\n  tokenFile: /t\n  dataplaneFile: /d\n"
		   "  env: {1A: x, B_2: y, \"C=\": z}\n  dataplaneVars: {\"a=b\": c}\n"
		   "  extraArgs: [a, \"\"]\n",
		   CHECK_RUN);
	cr_assert_eq(f.diags.n_errors, 4, "%s", fixture_said(&f));
	cr_assert(fixture_says(&f, "kumaDP.env: \"1A\" is no name of a variable"));
	cr_assert(fixture_says(&f, "kumaDP.env: \"C=\" is no name of a variable"));
	cr_assert(fixture_says(&f, "kumaDP.dataplaneVars: \"a=b\" is no name of a variable"));
	cr_assert(fixture_says(&f, "kumaDP.extraArgs: item 2 is empty"));
}
