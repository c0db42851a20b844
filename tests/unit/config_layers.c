/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_load.h"

#include <stdio.h>

static void expect_origin(struct fixture *f, const char *path, const char *text)
{
	_strbuf_ struct strbuf printed = { 0 };

	origin_print(loaded_origin(&f->loaded, path), &printed);
	cr_assert_str_eq(strbuf_text(&printed), text);
}

Test(layers, are_defaults_when_nothing_is_said)
{
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ 0 });
	cr_assert_eq(f.diags.n, 0);
	for (size_t i = 0; i < n_settings; i++) {
		cr_assert_eq(f.loaded.origins[i].kind, ORIGIN_DEFAULT);
		cr_assert(value_is_default(&settings[i], &f.loaded.config), "%s", settings[i].path);
	}
}

Test(layers, override_each_other_in_order)
{
	struct layer_file files[] = {
		{ "a.yaml", "redirect: {dns: {port: 1, enabled: true}}\nwait: 1", 0 },
		{ "b.yaml", "redirect:\n  dns:\n    port: 2\n    captureAll: true\n", 0 },
	};
	char *environ[] = { (char[]){ "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_PORT=3" },
			    (char[]){ "TPROXYD_KUMA_DP_MESH=m" },
			    (char[]){ "PATH=/bin" },
			    (char[]){ "KUMA_DP_USER=ignored" },
			    (char[]){ "REDIRECT_DNS_PORT=9" },
			    NULL };
	struct layer_flag flags[] = { { "redirect-dns-port", "4" }, { "redirect-dns-port", "5" } };
	struct layers layers = { .files = files, .n_files = 1 };
	_fixture_ struct fixture one, two, three, four;

	for (size_t i = 0; i < ELEMENTS(files); i++)
		files[i].len = strlen(files[i].text);
	fixture_load(&one, &layers);
	expect_origin(&one, "redirect.dns.port", "a.yaml:1:24");
	cr_assert_eq(one.loaded.config.redirect.dns.port, 1);

	layers.n_files = 2;
	fixture_load(&two, &layers);
	expect_origin(&two, "redirect.dns.port", "b.yaml:3:11");
	expect_origin(&two, "redirect.dns.enabled", "a.yaml:1:36");
	cr_assert_eq(two.loaded.config.redirect.dns.port, 2);
	cr_assert(two.loaded.config.redirect.dns.enabled);
	cr_assert(two.loaded.config.redirect.dns.capture_all);

	layers.environ = environ;
	fixture_load(&three, &layers);
	expect_origin(&three, "redirect.dns.port", "$KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_PORT");
	expect_origin(&three, "kumaDP.mesh", "$TPROXYD_KUMA_DP_MESH");
	expect_origin(&three, "kumaDPUser", "default");
	cr_assert_eq(three.loaded.config.redirect.dns.port, 3);

	layers.flags = flags;
	layers.n_flags = 2;
	fixture_load(&four, &layers);
	expect_origin(&four, "redirect.dns.port", "--redirect-dns-port");
	cr_assert_eq(four.loaded.config.redirect.dns.port, 5);
	expect_origin(&four, "wait", "a.yaml:2:7");
	expect_origin(&four, "verbose", "default");
	cr_assert_eq(four.diags.n, 0, "%s", fixture_said(&four));
}

Test(layers, take_every_setting_from_its_variable_and_its_flag)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];
		_fixture_ struct fixture f, g;
		char variable[200];

		(void)snprintf(variable, sizeof(variable), "%s=%s", s->env, s->dflt);
		fixture_env(&f, variable);
		cr_assert_eq(f.diags.n, 0, "%s: %s", variable, fixture_said(&f));
		cr_assert_eq(f.loaded.origins[i].kind, ORIGIN_ENV, "%s", s->path);
		if (!s->flag || s->type == SETTING_STRINGS || s->type == SETTING_PAIRS)
			continue;
		fixture_flag(&g, s->flag, s->dflt);
		cr_assert_eq(g.diags.n, 0, "%s: %s", s->flag, fixture_said(&g));
		cr_assert_eq(g.loaded.origins[i].kind, ORIGIN_FLAG, "%s", s->path);
	}
}

Test(flags, replace_a_list_of_texts_at_first_and_append_then)
{
	struct layer_file file = { "a.yaml", "redirect: {vnet: {networks: [x, y]}}", 36 };
	struct layer_flag flags[] = { { "vnet", "a,b" }, { "vnet", "c" } };
	_fixture_ struct fixture f;

	fixture_load(
		&f, &(struct layers){ .files = &file, .n_files = 1, .flags = flags, .n_flags = 2 });
	cr_assert_eq(f.loaded.config.redirect.vnet.networks.n, 2);
	cr_assert_str_eq(f.loaded.config.redirect.vnet.networks.items[0], "a,b");
	cr_assert_str_eq(f.loaded.config.redirect.vnet.networks.items[1], "c");
}

Test(flags, replace_a_list_of_ports_each_time)
{
	struct layer_flag flags[] = { { "exclude-inbound-ports", "80,81" },
				      { "exclude-inbound-ports", "90" } };
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ .flags = flags, .n_flags = 2 });
	cr_assert_str_eq(fixture_value(&f, "redirect.inbound.excludePorts"), "90");
}

Test(flags, collect_names_of_mappings)
{
	struct layer_flag flags[] = { { "kuma-dp-env", "A=1,2" },
				      { "kuma-dp-env", "B=3" },
				      { "kuma-dp-env", "A=4" } };
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ .flags = flags, .n_flags = 2 });
	cr_assert_eq(f.loaded.config.kuma_dp.env.n, 2);
	cr_assert_str_eq(f.loaded.config.kuma_dp.env.items[0].value, "1,2");
	fixture_done(&f);
	fixture_load(&f, &(struct layers){ .flags = flags, .n_flags = 3 });
	cr_assert_str_eq(fixture_value(&f, "kumaDP.env"), "A=4,B=3");
}

Test(flags, have_a_deprecated_spelling_of_the_same_setting)
{
	struct layer_flag flags[] = { { "kuma-dp-user", "a" }, { "kuma-dp-uid", "b" } };
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ .flags = flags, .n_flags = 2 });
	cr_assert_str_eq(f.loaded.config.kuma_dp_user, "b");
	expect_origin(&f, "kumaDPUser", "--kuma-dp-uid");
}

Test(executables, merge_by_name_over_all_layers)
{
	const char *text = "iptablesExecutables: {iptables: /file, ip6tables: /file6}";
	struct layer_file file = { "a.yaml", text, strlen(text) };
	char *environ[] = { (char[]){ "KUMA_TRANSPARENT_PROXY_IPTABLES_EXECUTABLES=iptables:/env" },
			    NULL };
	struct layer_flag flags[] = { { "iptables-executables", "iptables-save:/flag" } };
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ .files = &file,
					   .n_files = 1,
					   .environ = environ,
					   .flags = flags,
					   .n_flags = 1 });
	cr_assert_str_eq(fixture_value(&f, "iptablesExecutables"),
			 "iptables:/env,ip6tables:/file6,iptables-save:/flag");
}

Test(keys, match_without_regard_to_case)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "KUMADPUSER: x\nREDIRECT: {Inbound: {PORT: 7}}\nkumadp: {ENV: {Ab: c}}\n");
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
	cr_assert_str_eq(f.loaded.config.kuma_dp_user, "x");
	cr_assert_eq(f.loaded.config.redirect.inbound.port, 7);
	cr_assert_str_eq(fixture_value(&f, "kumaDP.env"), "Ab=c");
}

Test(keys, that_are_unknown_are_errors_with_a_suggestion)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect:\n  inboud: {port: 1}\n  inbound:\n    prot: 1\n    wat: 2\n"
			 "redirect.dns.port: 1\n");
	cr_assert_str_eq(
		fixture_said(&f),
		"t.yaml:2:3: error: unknown key \"redirect.inboud\"; did you mean "
		"redirect.inbound?\n"
		"t.yaml:4:5: error: unknown key \"redirect.inbound.prot\"; did you mean "
		"redirect.inbound.port?\n"
		"t.yaml:5:5: error: unknown key \"redirect.inbound.wat\"; known here are enabled, "
		"port, includePorts, excludePorts, excludePortsForUIDs, excludePortsForIPs, "
		"insertRedirectInsteadOfAppend\n"
		"t.yaml:6:1: error: unknown key \"redirect.dns.port\"; known are kumaDP, redirect, "
		"coreDNS, safety, kumaDPUser, user, ipFamilyMode, dropInvalidPackets, log, "
		"comments, backend, wait, waitInterval, retry, readiness, restart, failure, "
		"logLevel, dryRun, verbose, storeFirewalld, cniMode, iptablesExecutables, ebpf\n");
}

Test(keys, need_a_blank_behind_the_colon)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "{verbose:true}");
	cr_assert_str_eq(fixture_said(&f), "t.yaml:1:2: error: unknown key \"verbose:true\"; a "
					   "blank is missing behind the colon\n");
}

Test(keys, that_are_there_twice_are_errors)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "wait: 1\nWAIT: 2\nredirect: {}\nredirect: {}\n");
	cr_assert_str_eq(fixture_said(&f), "t.yaml:2:1: error: wait: the key is there twice\n"
					   "t.yaml:4:1: error: redirect: the key is there twice\n");
	cr_assert_eq(f.loaded.config.wait, 1);
}

Test(keys, of_chain_names_belong_to_the_environment)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect: {inbound: {chainName: X}}");
	cr_assert_str_eq(
		fixture_said(&f),
		"t.yaml:1:22: error: redirect.inbound.chainName: can be set only by the environment "
		"variable KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME\n");
}

Test(keys, have_to_be_names)
{
	static const char *const texts[] = { "~: 1", "[a]: 1", "{a: 1}: 2", "<<: {wait: 1}",
					     "? \n: 1" };

	for (size_t i = 0; i < ELEMENTS(texts); i++) {
		_fixture_ struct fixture f;

		fixture_file(&f, texts[i]);
		cr_assert_eq(f.diags.n_errors, 1, "%s: %s", texts[i], fixture_said(&f));
	}
}

Test(sections, that_are_null_change_nothing)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect:\n  inbound: null\n  dns: ~\nlog:\nretry: Null\n");
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
}

Test(sections, are_mappings)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect: [1]\nlog: 5\ncomments: \"\"\n");
	cr_assert_str_eq(
		fixture_said(&f),
		"t.yaml:1:11: error: redirect: a list is found where a mapping of settings "
		"is expected\n"
		"t.yaml:2:6: error: log: \"5\" is found where a mapping of settings is "
		"expected\n"
		"t.yaml:3:11: error: comments: \"\" is found where a mapping of settings is "
		"expected\n");
}

Test(sections, may_be_aliases)
{
	_fixture_ struct fixture f;

	fixture_file(&f, "redirect:\n  inbound: &a {excludePorts: [1]}\n  outbound: *a\n");
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
	cr_assert_str_eq(fixture_value(&f, "redirect.outbound.excludePorts"), "1");
}

Test(files, are_mappings_or_nothing)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = { { "", true },   { "# x", true }, { "null", true }, { "{}", true },
		     { "5", false }, { "[]", false }, { "\"\"", false } };

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		_fixture_ struct fixture f;

		fixture_file(&f, rows[i].text);
		cr_assert_eq(f.diags.n_errors == 0, rows[i].ok, "%s", rows[i].text);
	}
}

Test(files, list_at_most_a_hundred_mistakes)
{
	_strbuf_ struct strbuf text = { 0 };
	_fixture_ struct fixture f;

	for (unsigned i = 0; i < 1000; i++)
		strbuf_addf(&text, "unknown%u: 1\n", i);
	fixture_file(&f, strbuf_text(&text));
	cr_assert_eq(f.diags.n_errors, 100);
	cr_assert(fixture_says(&f, "only 100"));
}

Test(mistakes, of_all_layers_are_collected)
{
	struct layer_file files[] = { { "a.yaml", "wait: x", 7 }, { "b.yaml", "wait: [", 7 } };
	char *environ[] = { (char[]){ "KUMA_TRANSPARENT_PROXY_WAIT=y" }, NULL };
	struct layer_flag flags[] = { { "wait", "z" }, { "nothing", "z" } };
	_fixture_ struct fixture f;

	fixture_load(&f, &(struct layers){ .files = files,
					   .n_files = 2,
					   .environ = environ,
					   .flags = flags,
					   .n_flags = 2 });
	cr_assert_eq(f.diags.n_errors, 5, "%s", fixture_said(&f));
	cr_assert(fixture_says(&f, "$KUMA_TRANSPARENT_PROXY_WAIT: error: wait: \"y\" is found"));
	cr_assert(fixture_says(&f, "--wait: error: wait: \"z\" is found"));
	cr_assert_eq(f.loaded.config.wait, 5, "a wrong value leaves what was there");
	expect_origin(&f, "wait", "default");
}

Test(variables, that_no_setting_has_are_spoken_of)
{
	_fixture_ struct fixture f, g, h, k;

	fixture_env(&f, "TPROXYD_CORE_DNS_MOD=off");
	cr_assert_str_eq(fixture_said(&f),
			 "$TPROXYD_CORE_DNS_MOD: warning: no setting has this name; did you mean "
			 "TPROXYD_CORE_DNS_MODE?; it is ignored\n");
	fixture_env(&g, "KUMA_TRANSPARENT_PROXY_SOMETHING=1");
	cr_assert_eq(g.diags.items[0].severity, SEVERITY_NOTICE);
	fixture_env(&h, "TPROXYD_CONFIG_FILE=/x");
	cr_assert_eq(h.diags.n, 0);
	fixture_env(&k, "KUMA_TRANSPARENT_PROXY_EBPF_PROGRAM_SOURCE_PATH=/x");
	cr_assert(fixture_says(&k, "PROGRAMS_SOURCE_PATH?"));
}
