/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/load/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/array.h"
#include "common/base/parse.h"
#include "common/base/utf8.h"
#include "common/config/describe.h"
#include "daemon/load/config_files.h"
#include "daemon/os/io.h"

struct flag_list {
	struct layer_flag *items;
	size_t n;
};

/* An option that is neither a setting nor the verb's own. */
struct general_option {
	const char *name;
	const char *metavar;
	unsigned sources;         /* bits by enum options_source */
	bool config, config_file; /* names a source of settings */
	const char *help;         /* NULL: accepted, not shown */
};

#define IN(source) (1U << (source))
#define DURATION   "DURATION" /* checked, as kumactl does */
#define ONE_SHOT   (IN(OPTIONS_NAMED) | IN(OPTIONS_KUMACTL_UNINSTALL))

static const struct general_option general_options[] = {
	{ "config-file", "FILE", IN(OPTIONS_SYSTEM), false, true,
	  "Read this file, or - for standard input, instead of " CONFIG_FILE " and of what is "
	  "in " CONFIG_DROPIN ". $TPROXYD_CONFIG_FILE does the same." },
	{ "config", "FILE|TEXT", IN(OPTIONS_NAMED), true, false,
	  "Read this file, or - for standard input, or the text itself where it is YAML or JSON "
	  "(\\n begins a line). Can be repeated: later ones win." },
	{ "config-file", "FILE", IN(OPTIONS_NAMED), false, true,
	  "As --config, read before those." },
	/* kumactl's own, for all of its commands. */
	{ "config-file", "FILE", IN(OPTIONS_KUMACTL_UNINSTALL), false, false, NULL },
	{ "log-level", "LEVEL", ONE_SHOT, false, false, NULL },
	{ "context", "NAME", ONE_SHOT, false, false, NULL },
	{ "api-timeout", DURATION, ONE_SHOT, false, false, NULL },
	{ "no-config", NULL, ONE_SHOT, false, false, NULL },
};

struct reader {
	struct arena *arena;
	const struct command_line *line;
	const struct layer_file_list *given; /* NULL: the files are read */
	struct options *options;
	struct error *err;
	int at; /* the next word */
	bool help;
	const char *config_file; /* the last --config-file */
	struct string_list configs;
	struct flag_list flags;
	struct string_list words; /* what is no option */
	struct config_files files;
};

static int usage(struct reader *r, const char *fmt, ...) _printf_(2, 3);

static int usage(struct reader *r, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	r->err->code = -EINVAL;
	utf8_vprint(r->err->text, sizeof(r->err->text), fmt, args);
	va_end(args);
	return OPTIONS_USAGE;
}

/* Whether the setting is an option of a verb that gets its settings from there. */
static bool is_option(enum options_source source, const struct setting *setting)
{
	if (!setting->flag || source == OPTIONS_NONE)
		return false;
	if (source == OPTIONS_NAMED)
		return setting->kumactl || (setting->flags & SETTING_INSTALL);
	return source == OPTIONS_SYSTEM || (setting->flags & SETTING_UNINSTALL);
}

/* Whether the option is one of the verb's. */
static bool is_general(const struct reader *r, const struct general_option *option)
{
	return option->sources & IN(r->line->source);
}

/* The nearer of best and name to what was written. */
static void consider(const char *written, const char *name, const char **best, unsigned *distance)
{
	unsigned edits = edit_distance(written, name, 2);

	if (edits < *distance && edits <= strlen(name) / 2) {
		*distance = edits;
		*best = name;
	}
}

static int unknown_option(struct reader *r, const char *name)
{
	const char *best = NULL;
	unsigned distance = 3;

	consider(name, "help", &best, &distance);
	for (size_t i = 0; i < r->line->n_rows; i++)
		consider(name, r->line->rows[i].name, &best, &distance);
	for (size_t i = 0; i < ELEMENTS(general_options); i++)
		if (is_general(r, &general_options[i]) && general_options[i].help)
			consider(name, general_options[i].name, &best, &distance);
	for (size_t i = 0; i < n_settings; i++)
		if (is_option(r->line->source, &settings[i]))
			consider(name, settings[i].flag, &best, &distance);
	if (best)
		return usage(r, "unknown option --%s; did you mean --%s?", name, best);
	return usage(r, "unknown option --%s", name);
}

/* The value of an option that takes one: behind "=", or the next word. */
static int take_value(struct reader *r, const char *name, const char **value)
{
	if (*value)
		return 0;
	if (r->at >= r->line->argc)
		return usage(r, "option --%s needs a value", name);
	*value = r->line->argv[r->at++];
	return 0;
}

/* A switch that is no setting: nothing, or =true, =false. */
static int take_switch(struct reader *r, const char *name, const char *value, bool *ret)
{
	bool on = true;

	if (value && !parse_bool(value, &on))
		return usage(r, "option --%s takes no value (but true or false)", name);
	*ret = on;
	return 0;
}

static int take_general(struct reader *r, const struct general_option *option, const char *value)
{
	int64_t unused;
	bool ignored;
	int ret;

	if (!option->metavar)
		return take_switch(r, option->name, value, &ignored);
	ret = take_value(r, option->name, &value);
	if (ret != 0)
		return ret;
	if (strcmp(option->metavar, DURATION) == 0 && !parse_duration(value, &unused))
		return usage(r, "option --%s needs a duration, as 30s", option->name);
	if (option->config)
		array_push(r->arena, &r->configs, value);
	if (option->config_file)
		r->config_file = value;
	return 0;
}

static int take_setting(struct reader *r, const struct setting *setting, const char *name,
			const char *value)
{
	int ret;

	/* A switch never takes the next word. */
	if (setting->type == SETTING_BOOL && !value)
		value = "true";
	ret = take_value(r, name, &value);
	if (ret == 0)
		array_push(r->arena, &r->flags,
			   (struct layer_flag){ .flag = name, .value = value });
	return ret;
}

static int take_option(struct reader *r, const char *word)
{
	const char *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
	const char *name = arena_strndup(r->arena, word, strcspn(word, "="));
	const struct setting *setting = name ? setting_by_flag(name) : NULL;

	if (!name)
		return error_sys(r->err, -ENOMEM, "read the command line");
	if (strcmp(name, "help") == 0)
		return take_switch(r, name, value, &r->help);
	for (size_t i = 0; i < r->line->n_rows; i++)
		if (strcmp(r->line->rows[i].name, name) == 0)
			return take_switch(r, name, value, r->line->rows[i].flag);
	for (size_t i = 0; i < ELEMENTS(general_options); i++)
		if (is_general(r, &general_options[i]) &&
		    strcmp(general_options[i].name, name) == 0)
			return take_general(r, &general_options[i], value);
	if (setting && is_option(r->line->source, setting))
		return take_setting(r, setting, name, value);
	return unknown_option(r, name);
}

static int take_words(struct reader *r)
{
	int ret = 0;

	for (r->at = 1; r->at < r->line->argc && ret == 0;) {
		const char *word = r->line->argv[r->at++];

		if (strcmp(word, "--") == 0) {
			while (r->at < r->line->argc)
				array_push(r->arena, &r->words, r->line->argv[r->at++]);
		} else if (strncmp(word, "--", 2) == 0) {
			ret = take_option(r, word + 2);
		} else if (strcmp(word, "-h") == 0) {
			r->help = true;
		} else if (word[0] == '-' && word[1]) {
			ret = usage(r, "unknown option %s; options begin with two dashes", word);
		} else {
			array_push(r->arena, &r->words, word);
		}
	}
	return ret;
}

/* The one-shot verbs take words that mean nothing, as kumactl does. */
static int take_choice(struct reader *r)
{
	const char *const *choices = r->line->choices;
	_strbuf_ struct strbuf words = { 0 };

	if (!choices && r->words.n && !(IN(r->line->source) & ONE_SHOT))
		return usage(r, "'%s' is not an option", r->words.items[0]);
	if (!choices)
		return 0;
	for (size_t i = 0; choices[i]; i++) {
		if (r->words.n == 1 && strcmp(choices[i], r->words.items[0]) == 0) {
			r->options->choice = i;
			return 0;
		}
		strbuf_addf(&words, "%s%s", i ? ", " : "", choices[i]);
	}
	return usage(r, "one of these words is needed: %s", strbuf_text(&words));
}

/* kumactl refuses the two flags together; in files both may be true. */
static int check_dns_flags(struct reader *r)
{
	bool some = false, all = false;

	for (size_t i = 0; i < r->flags.n; i++) {
		const struct layer_flag *flag = &r->flags.items[i];
		bool value;

		if (!parse_bool(flag->value, &value))
			continue;
		if (strcmp(flag->flag, "redirect-dns") == 0)
			some = value;
		else if (strcmp(flag->flag, "redirect-all-dns-traffic") == 0)
			all = value;
	}
	if (some && all)
		return usage(r, "only one of --redirect-dns and --redirect-all-dns-traffic can "
				"be given");
	return 0;
}

static void print_help(const struct reader *r)
{
	_strbuf_ struct strbuf out = { 0 };

	strbuf_addf(&out, "Usage: tproxyd %s [OPTION...]", r->line->argv[0]);
	for (const char *const *word = r->line->choices; word && *word; word++)
		strbuf_addf(&out, "%c%s", word == r->line->choices ? ' ' : '|', *word);
	strbuf_add(&out, "\n\n");
	describe_option(&out, "help", NULL, "Print this and exit.");
	for (size_t i = 0; i < r->line->n_rows; i++)
		describe_option(&out, r->line->rows[i].name, NULL, r->line->rows[i].help);
	for (size_t i = 0; i < ELEMENTS(general_options); i++)
		if (is_general(r, &general_options[i]) && general_options[i].help)
			describe_option(&out, general_options[i].name, general_options[i].metavar,
					general_options[i].help);
	for (size_t i = 0; i < n_settings; i++)
		if (is_option(r->line->source, &settings[i]))
			describe_setting(&out, &settings[i]);
	(void)fputs(strbuf_text(&out), stdout);
}

static int load(struct reader *r)
{
	struct layers layers = { .flags = r->flags.items, .n_flags = r->flags.n };

	if (!r->given && r->line->source == OPTIONS_SYSTEM)
		config_files_system(&r->files, r->config_file);
	else if (!r->given && r->line->source == OPTIONS_NAMED)
		config_files_named(&r->files, r->config_file, &r->configs);
	if (r->line->source == OPTIONS_SYSTEM || r->line->source == OPTIONS_NAMED)
		layers.environ = environ;
	r->options->from_stdin = r->files.stdin_read;
	r->options->files = (struct layer_file_list){ r->files.items, r->files.n };
	if (r->given)
		r->options->files = *r->given;
	layers.files = r->options->files.items;
	layers.n_files = r->options->files.n;
	if (layers_load(r->arena, &layers, &r->options->loaded, &r->options->diags) < 0)
		return error_sys(r->err, -ENOMEM, "load the configuration");
	return 0;
}

int options_load(struct arena *arena, const struct command_line *line, struct options *ret,
		 struct error *err)
{
	return options_load_given(arena, line, NULL, ret, err);
}

int options_load_given(struct arena *arena, const struct command_line *line,
		       const struct layer_file_list *given, struct options *ret, struct error *err)
{
	struct reader r = {
		.arena = arena,
		.line = line,
		.given = given,
		.options = ret,
		.files = { .arena = arena, .diags = &ret->diags },
		.err = err,
	};
	int code;

	*ret = (struct options){ .diags.arena = arena };
	code = take_words(&r);
	if (code != 0)
		return code;
	if (r.help) {
		print_help(&r);
		return OPTIONS_HELP;
	}
	code = take_choice(&r);
	if (code == 0)
		code = check_dns_flags(&r);
	return code == 0 ? load(&r) : code;
}

void options_print_diags(const struct diag_list *diags)
{
	for (size_t i = 0; i < diags->n; i++) {
		_strbuf_ struct strbuf line = { 0 };

		diag_print(&diags->items[i], &line);
		io_print_line(stderr, strbuf_text(&line));
	}
}
