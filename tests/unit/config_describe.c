/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config_load.h"

#include <stdio.h>

#include "common/config/check.h"
#include "common/config/describe.h"

static void read_file(const char *path, struct strbuf *out)
{
	FILE *file = fopen(path, "re");
	char buf[4096];
	size_t n;

	cr_assert_not_null(file, "%s", path);
	while ((n = fread(buf, 1, sizeof(buf), file)) > 0)
		strbuf_add_len(out, buf, n);
	(void)fclose(file);
}

Test(descriptions, in_the_repository_are_what_describe_prints)
{
	static const struct {
		enum describe_format format;
		const char *path;
	} files[] = {
		{ DESCRIBE_YAML, "conf/tproxyd.yaml" },
		{ DESCRIBE_BASH, "packaging/completions/tproxyd" },
		{ DESCRIBE_MAN, "packaging/man/tproxyd.yaml.5" },
		{ DESCRIBE_JSON_SCHEMA, "packaging/tproxyd.schema.json" },
	};

	for (size_t i = 0; i < ELEMENTS(files); i++) {
		_strbuf_ struct strbuf printed = { 0 }, committed = { 0 }, path = { 0 };

		describe(files[i].format, &printed);
		strbuf_addf(&path, "%s/../%s", TEST_DATA, files[i].path);
		read_file(strbuf_text(&path), &committed);
		cr_expect_str_eq(strbuf_text(&committed), strbuf_text(&printed),
				 "run: tproxyd describe %s > %s", describe_formats[files[i].format],
				 files[i].path);
	}
}

Test(example, loads_and_lacks_nothing)
{
	_strbuf_ struct strbuf text = { 0 };
	_fixture_ struct fixture f;

	describe(DESCRIBE_YAML, &text);
	fixture_file(&f, strbuf_text(&text));
	check_config(&f.loaded, CHECK_RUN, &f.diags);
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
	cr_assert(f.loaded.config.redirect.dns.enabled);
	for (size_t i = 0; i < n_settings; i++) {
		const char *path = settings[i].path;
		bool set = strcmp(path, "kumaDP.cpAddress") == 0 ||
			   strcmp(path, "kumaDP.tokenFile") == 0 ||
			   strcmp(path, "kumaDP.dataplaneFile") == 0 ||
			   strcmp(path, "redirect.dns.enabled") == 0;

		cr_assert_eq(f.loaded.origins[i].kind, set ? ORIGIN_FILE : ORIGIN_DEFAULT, "%s",
			     path);
	}
}

/* A setting that is switched off is "#key:" or "#  key:"; a remark is "# text". */
static bool is_switched_off(const char *line)
{
	return line[0] == '#' && line[1] != '\n' && (line[1] != ' ' || line[2] == ' ');
}

Test(example, says_the_defaults_when_every_line_is_switched_on)
{
	_strbuf_ struct strbuf text = { 0 }, all = { 0 };
	_fixture_ struct fixture f;

	describe(DESCRIBE_YAML, &text);
	for (const char *line = strbuf_text(&text); *line; line += strcspn(line, "\n") + 1) {
		size_t off = is_switched_off(line);

		strbuf_add_len(&all, line + off, strcspn(line, "\n") + 1 - off);
	}
	fixture_file(&f, strbuf_text(&all));
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
	for (size_t i = 0; i < n_settings; i++) {
		if (settings[i].flags & SETTING_NO_YAML)
			continue;
		cr_assert_eq(f.loaded.origins[i].kind, ORIGIN_FILE, "%s", settings[i].path);
		if (strncmp(settings[i].path, "kumaDP.", 7) != 0 &&
		    strcmp(settings[i].path, "redirect.dns.enabled") != 0)
			cr_assert(value_is_default(&settings[i], &f.loaded.config), "%s",
				  settings[i].path);
	}
}

Test(example, lets_every_single_line_be_switched_on_alone)
{
	_strbuf_ struct strbuf text = { 0 };
	size_t n = 0;

	describe(DESCRIBE_YAML, &text);
	for (const char *line = strbuf_text(&text); *line; line += strcspn(line, "\n") + 1) {
		_strbuf_ struct strbuf one = { 0 };
		_fixture_ struct fixture f;

		if (!is_switched_off(line))
			continue;
		strbuf_add_len(&one, strbuf_text(&text), (size_t)(line - strbuf_text(&text)));
		strbuf_add(&one, line + 1);
		fixture_file(&f, strbuf_text(&one));
		cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
		n++;
	}
	cr_assert_gt(n, 50);
}

Test(help, names_every_setting)
{
	_strbuf_ struct strbuf text = { 0 };

	describe(DESCRIBE_HELP, &text);
	for (size_t i = 0; i < n_settings; i++) {
		_strbuf_ struct strbuf flag = { 0 };

		strbuf_addf(&flag, "--%s", settings[i].flag ? settings[i].flag : "");
		cr_assert(strstr(strbuf_text(&text), settings[i].path), "%s", settings[i].path);
		cr_assert(strstr(strbuf_text(&text), strbuf_text(&flag)), "%s", settings[i].path);
	}
}

Test(options, of_install_are_those_of_kumactl_and_three)
{
	size_t own = 0;

	for (size_t i = 0; i < n_settings; i++)
		own += !!(settings[i].flags & SETTING_INSTALL);
	cr_assert_eq(own, 3);
}

Test(options, are_described_with_what_they_take_and_their_default)
{
	_strbuf_ struct strbuf text = { 0 };

	describe_setting(&text, setting_by_path("backend"));
	describe_setting(&text, setting_by_path("dryRun"));
	cr_assert(strstr(strbuf_text(&text), "  --backend=auto|iptables|nftables\n          What"));
	cr_assert(strstr(strbuf_text(&text), "  --dry-run\n"));
	cr_assert(strstr(strbuf_text(&text), "(default auto)"));
}

/* A configuration with something unusual of every type. */
static const char unusual[] =
	"kumaDP: {cpAddress: 'https://a', env: {A: \"x\\ny: #\", B: 'no'}, extraArgs: ['--a=b,c', "
	"'5', '']}\n"
	"redirect:\n"
	"  dns: {port: 53, captureAll: true}\n"
	"  inbound: {excludePorts: [1, 2], excludePortsForIPs: ['10.0.0.1,::1', 'a: b']}\n"
	"  vnet: {networks: ['br+:10.0.0.0/8']}\n"
	"coreDNS: {mode: off}\n"
	"safety: {protectSSH: false}\n"
	"kumaDPUser: '010'\n"
	"ipFamilyMode: ipv4\n"
	"wait: 4294967295\n"
	"retry: {sleepBetweenRetries: -1.5ms}\n"
	"failure: {holdRules: infinity}\n"
	"iptablesExecutables: {ip6tables-save: '/a b'}\n"
	"ebpf: {tcAttachIface: '~'}\n";

Test(configuration, loads_back_as_it_was_printed)
{
	_strbuf_ struct strbuf printed = { 0 };
	_fixture_ struct fixture f, g;

	fixture_file(&f, unusual);
	cr_assert_eq(f.diags.n, 0, "%s", fixture_said(&f));
	describe_config(&f.loaded, &printed);
	fixture_file(&g, strbuf_text(&printed));
	cr_assert_eq(g.diags.n, 0, "%s%s", strbuf_text(&printed), fixture_said(&g));
	for (size_t i = 0; i < n_settings; i++) {
		_strbuf_ struct strbuf a = { 0 }, b = { 0 };

		value_print_yaml(&settings[i], &f.loaded.config, &a);
		value_print_yaml(&settings[i], &g.loaded.config, &b);
		cr_assert_str_eq(strbuf_text(&a), strbuf_text(&b));
	}
}

Test(configuration, names_the_origin_of_every_value)
{
	char *environ[] = { (char[]){ "KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME=IN" },
			    NULL };
	struct layer_file file = { "t.yaml", "redirect:\n  dns:\n    port: 53\n", 30 };
	struct layer_flag flags[] = { { "wait", "7" } };
	_strbuf_ struct strbuf printed = { 0 };
	_fixture_ struct fixture f;

	file.len = strlen(file.text);
	fixture_load(&f, &(struct layers){ .files = &file,
					   .n_files = 1,
					   .environ = environ,
					   .flags = flags,
					   .n_flags = 1 });
	describe_config(&f.loaded, &printed);
	cr_assert(strstr(strbuf_text(&printed), "    port: 53 # t.yaml:3:11\n"));
	cr_assert(strstr(strbuf_text(&printed), "\nwait: 7 # --wait\n"));
	cr_assert(strstr(strbuf_text(&printed), "    enabled: true # default\n"));
	cr_assert(strstr(strbuf_text(&printed),
			 "\n# redirect.inbound.chainName: IN "
			 "$KUMA_TRANSPARENT_PROXY_REDIRECT_INBOUND_CHAIN_NAME\n"));
}
