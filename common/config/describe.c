/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/describe.h"

#include <string.h>

#include "common/config/value.h"

#define WIDTH 100 /* columns of a line of help */

/* Adds text, broken at blanks, each line behind prefix (of width columns). */
static void add_wrapped(struct strbuf *out, const char *prefix, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > WIDTH) {
			strbuf_addc(out, '\n');
			column = 0;
		}
		strbuf_add(out, column ? " " : prefix);
		column += column ? 1 : strlen(prefix);
		strbuf_add_len(out, text, len);
		column += len;
		text += len;
		text += *text == ' ';
	}
	strbuf_addc(out, '\n');
}

/* What an option takes: a type's word, or the words that can be given; "" for a switch. */
static void add_metavar(struct strbuf *out, const struct setting *setting)
{
	const char *const *name = setting->names;

	if (!name) {
		const char *metavar = value_metavar(setting);

		strbuf_add(out, metavar ? metavar : "");
		return;
	}
	for (; *name; name++)
		strbuf_addf(out, "%s%s", *name, name[1] ? "|" : "");
}

void describe_option(struct strbuf *out, const char *name, const char *metavar, const char *help)
{
	strbuf_addf(out, "  --%s%s%s\n", name, metavar && *metavar ? "=" : "",
		    metavar ? metavar : "");
	add_wrapped(out, "          ", help);
}

void describe_setting(struct strbuf *out, const struct setting *setting)
{
	_strbuf_ struct strbuf metavar = { 0 }, help = { 0 };

	add_metavar(&metavar, setting);
	strbuf_add(&help, setting->help);
	if (*setting->dflt)
		strbuf_addf(&help, " (default %s)", setting->dflt);
	describe_option(out, setting->flag, strbuf_text(&metavar), strbuf_text(&help));
}

/* All settings, by path: what they are called in each place. */
static void print_help(struct strbuf *out)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];
		_strbuf_ struct strbuf metavar = { 0 };

		add_metavar(&metavar, setting);
		strbuf_addf(out, "%s%s\n", setting->path,
			    setting->flags & SETTING_NO_YAML ? " (environment only)" : "");
		add_wrapped(out, "    ", setting->help);
		strbuf_addf(out, "    $%s\n", setting->env);
		if (setting->flag)
			strbuf_addf(out, "    --%s%s%s\n", setting->flag, metavar.len ? "=" : "",
				    strbuf_text(&metavar));
		strbuf_addf(out, "    default: %s\n\n", *setting->dflt ? setting->dflt : "none");
	}
}

/* Two blanks for every dot in the first len bytes of the path. */
static void add_indent(struct strbuf *out, const char *path, size_t len)
{
	for (size_t i = 0; i < len; i++)
		strbuf_add(out, path[i] == '.' ? "  " : "");
}

/* The headers of the sections that path is in and before was not. */
static void add_sections(struct strbuf *out, const char *path, const char *before)
{
	bool same = true;

	for (const char *start = path, *dot; (dot = strchr(start, '.')); start = dot + 1) {
		same = same && strncmp(path, before, (size_t)(dot - path) + 1) == 0;
		if (same)
			continue;
		add_indent(out, path, (size_t)(start - path));
		strbuf_add_len(out, start, (size_t)(dot - start));
		strbuf_add(out, ":\n");
	}
}

/* "KEY: " behind the blanks that it needs. */
static void add_key(struct strbuf *out, const char *path)
{
	const char *dot = strrchr(path, '.');

	add_indent(out, path, strlen(path));
	strbuf_addf(out, "%s: ", dot ? dot + 1 : path);
}

/* What the shipped file sets: enough to see where one's own values go. */
static const char *example_of(const struct setting *setting)
{
	static const struct {
		const char *path, *value;
	} examples[] = {
		{ "kumaDP.cpAddress", "https://control-plane.example:5678" },
		{ "kumaDP.tokenFile", "/etc/tproxyd/token" },
		{ "kumaDP.dataplaneFile", "/etc/tproxyd/dataplane.yaml" },
		{ "redirect.dns.enabled", "true" },
	};

	for (size_t i = 0; i < ELEMENTS(examples); i++)
		if (strcmp(setting->path, examples[i].path) == 0)
			return examples[i].value;
	return NULL;
}

static const char file_head[] =
	"# yaml-language-server: $schema=/usr/share/tproxyd/tproxyd.schema.json\n"
	"# SPDX-License-Identifier: GPL-2.0-or-later\n"
	"# The configuration of tproxyd, made by \"tproxyd describe yaml\".\n"
	"#\n"
	"# What is set below is what every host has to say for itself. All else stands at its default: take\n"
	"# away the # in the first column to change it. \"tproxyd check\" says what is wrong,\n"
	"# \"tproxyd show-config\" what is in effect and where it comes from. Files in\n"
	"# /etc/tproxyd/tproxyd.d/*.yaml, environment variables and options override this file.\n"
	"#\n"
	"# A configuration file of kumactl's transparent proxy can be used as it is.\n";

/* An example that loads: section headers are live (empty ones say nothing), so that any single line
 * can be switched on by itself. */
static void print_yaml(struct strbuf *out)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	struct loaded defaults;
	const char *before = "";

	if (layers_load(&arena, &(struct layers){ 0 }, &defaults, &diags) < 0) {
		out->failed = true;
		return;
	}
	strbuf_add(out, file_head);
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];
		const char *example = example_of(setting);
		_strbuf_ struct strbuf prefix = { 0 };

		if (setting->flags & SETTING_NO_YAML)
			continue;
		strbuf_addc(out, '\n');
		add_sections(out, setting->path, before);
		before = setting->path;
		add_indent(&prefix, setting->path, strlen(setting->path));
		strbuf_add(&prefix, "# ");
		add_wrapped(out, strbuf_text(&prefix), setting->help);
		strbuf_add(out, example ? "" : "#");
		add_key(out, setting->path);
		if (example)
			strbuf_add(out, example);
		else
			value_print_yaml(setting, &defaults.config, out);
		strbuf_addc(out, '\n');
	}
}

void describe_config(const struct loaded *loaded, struct strbuf *out)
{
	const char *before = "";

	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *setting = &settings[i];

		/* Environment only: a comment that the file can carry. */
		if (setting->flags & SETTING_NO_YAML) {
			strbuf_addf(out, "# %s: ", setting->path);
			value_print_yaml(setting, &loaded->config, out);
		} else {
			add_sections(out, setting->path, before);
			before = setting->path;
			add_key(out, setting->path);
			value_print_yaml(setting, &loaded->config, out);
			strbuf_add(out, " #");
		}
		strbuf_addc(out, ' ');
		origin_print(&loaded->origins[i], out);
		strbuf_addc(out, '\n');
	}
}

/* The program's own help says which verbs, options and words there are. */
static const char bash_completions[] =
	"# SPDX-License-Identifier: GPL-2.0-or-later\n"
	"# Completions of tproxyd for bash, made by \"tproxyd describe bash\".\n"
	"_tproxyd()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words help\n"
	"\n"
	"\t# bash cuts words at the = of --option=value.\n"
	"\tif [[ $cur == = ]]; then\n"
	"\t\tcur=\n"
	"\telif [[ $prev == = ]]; then\n"
	"\t\tprev=${COMP_WORDS[COMP_CWORD - 2]}\n"
	"\tfi\n"
	"\tif ((COMP_CWORD == 1)); then\n"
	"\t\thelp=$(tproxyd --help 2>/dev/null)\n"
	"\t\twords=\"$(sed -n 's/^  \\([a-z-]*\\) .*/\\1/p' <<<\"$help\") --help --version\"\n"
	"\telse\n"
	"\t\thelp=$(tproxyd \"${COMP_WORDS[1]}\" --help 2>/dev/null)\n"
	"\t\t# The words that an option takes, as \"  --backend=auto|iptables|nftables\".\n"
	"\t\twords=$(sed -n \"s/^  $prev=\\\\([a-z0-9-]*|[a-z0-9|-]*\\\\)$/\\\\1/p\" <<<\"$help\")\n"
	"\t\tif [[ -z $words && $cur == -* ]]; then\n"
	"\t\t\twords=$(sed -n 's/^  \\(--[a-zA-Z0-9-]*\\).*/\\1/p' <<<\"$help\")\n"
	"\t\telif [[ -z $words ]]; then\n"
	"\t\t\twords=$(sed -n 's/^Usage: .*\\] \\([a-z|-]*\\)$/\\1/p' <<<\"$help\")\n"
	"\t\tfi\n"
	"\tfi\n"
	"\tif [[ $words ]]; then\n"
	"\t\tCOMPREPLY=($(compgen -W \"${words//|/ }\" -- \"$cur\"))\n"
	"\telse\n"
	"\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -F _tproxyd tproxyd\n";

const char *const describe_formats[] = {
	[DESCRIBE_HELP] = "help",
	[DESCRIBE_YAML] = "yaml",
	[DESCRIBE_BASH] = "bash",
	[DESCRIBE_MAN] = "man",
	[DESCRIBE_JSON_SCHEMA] = "json-schema",
	NULL,
};

void describe(enum describe_format format, struct strbuf *out)
{
	switch (format) {
	case DESCRIBE_HELP:
		print_help(out);
		return;
	case DESCRIBE_YAML:
		print_yaml(out);
		return;
	case DESCRIBE_BASH:
		strbuf_add(out, bash_completions);
		return;
	case DESCRIBE_MAN:
		describe_man(out);
		return;
	case DESCRIBE_JSON_SCHEMA:
		describe_json_schema(out);
		return;
	}
}
