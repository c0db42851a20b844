/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "common/base/strbuf.h"
#include "common/config/schema.h"
#include "common/config/value.h"

/* Whether a new word begins at p inside a path component: Name, and the last capital of DPUser; but
 * not the plural of UIDs. */
static bool begins_word(const char *start, const char *p)
{
	bool plural = p[1] == 's' && (!p[2] || p[2] == '.');

	if (p == start || !isupper((unsigned char)*p))
		return false;
	if (islower((unsigned char)p[-1]))
		return true;
	return isupper((unsigned char)p[-1]) && islower((unsigned char)p[1]) && !plural;
}

static void add_name(struct strbuf *out, const char *path, char separator, int (*letter)(int))
{
	for (const char *p = path; *p; p++) {
		if (*p == '.') {
			strbuf_addc(out, separator);
			continue;
		}
		if (begins_word(path, p))
			strbuf_addc(out, separator);
		strbuf_addc(out, (char)letter((unsigned char)*p));
	}
}

/* Whether kumactl's option has another name than the path would give. */
static bool has_own_flag(const char *path)
{
	static const char *const paths[] = {
		"redirect.dns.enabled",
		"redirect.dns.captureAll",
		"redirect.dns.skipConntrackZoneSplit",
		"redirect.inbound.enabled",
		"redirect.inbound.excludePorts",
		"redirect.inbound.excludePortsForIPs",
		"redirect.inbound.insertRedirectInsteadOfAppend",
		"redirect.outbound.excludePorts",
		"redirect.outbound.excludePortsForUIDs",
		"redirect.outbound.excludePortsForIPs",
		"redirect.outbound.insertRedirectInsteadOfAppend",
		"redirect.vnet.networks",
		"log.enabled",
		"comments.disabled",
		"retry.maxRetries",
		"retry.sleepBetweenRetries",
	};

	for (size_t i = 0; i < ELEMENTS(paths); i++)
		if (strcmp(paths[i], path) == 0)
			return true;
	return false;
}

Test(schema, names_follow_from_the_path_but_for_some_options_of_kumactl)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];
		_strbuf_ struct strbuf env = { 0 }, flag = { 0 };
		bool regular;

		strbuf_add(&env, s->kumactl ? "KUMA_TRANSPARENT_PROXY_" : "TPROXYD_");
		add_name(&env, s->path, '_', toupper);
		add_name(&flag, s->path, '-', tolower);
		cr_assert_str_eq(s->env, strbuf_text(&env));
		regular = !s->flag || strcmp(s->flag, strbuf_text(&flag)) == 0;
		cr_assert_eq(!regular, has_own_flag(s->path), "%s", s->path);
	}
}

Test(schema, own_settings_have_an_option_each)
{
	for (size_t i = 0; i < n_settings; i++)
		if (!settings[i].kumactl)
			cr_assert_not_null(settings[i].flag, "%s", settings[i].path);
}

Test(schema, has_no_name_twice)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];

		cr_assert_eq(setting_by_path(s->path), s, "%s", s->path);
		cr_assert_eq(setting_by_env(s->env), s, "%s", s->env);
		if (s->flag)
			cr_assert_eq(setting_by_flag(s->flag), s, "%s", s->flag);
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(settings[j].offset, s->offset, "%s and %s", s->path,
				      settings[j].path);
	}
}

Test(schema, keeps_the_settings_of_a_section_together)
{
	for (size_t i = 2; i < n_settings; i++) {
		const char *dot = strrchr(settings[i].path, '.');
		size_t len = dot ? (size_t)(dot - settings[i].path) + 1 : 0;

		if (!dot || strncmp(settings[i - 1].path, settings[i].path, len) == 0)
			continue;
		for (size_t j = 0; j < i; j++)
			cr_assert_neq(strncmp(settings[j].path, settings[i].path, len), 0, "%s",
				      settings[i].path);
	}
}

Test(schema, every_default_parses_and_prints_back_to_itself)
{
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	static struct config config;

	for (size_t i = 0; i < n_settings; i++) {
		_strbuf_ struct strbuf printed = { 0 };
		struct value_target target = {
			.arena = &arena,
			.config = &config,
			.setting = &settings[i],
			.origin.kind = ORIGIN_DEFAULT,
			.diags = &diags,
		};

		cr_assert(value_from_text(&target, settings[i].dflt), "%s", settings[i].path);
		value_print(&settings[i], &config, &printed);
		cr_assert_str_eq(strbuf_text(&printed), settings[i].dflt);
		cr_assert(value_is_default(&settings[i], &config));
	}
	cr_assert_eq(diags.n, 0);
	arena_done(&arena);
}

Test(schema, explains_every_setting_in_sentences)
{
	for (size_t i = 0; i < n_settings; i++) {
		const char *help = settings[i].help;

		cr_assert_not_null(help, "%s", settings[i].path);
		cr_assert(isupper((unsigned char)*help), "%s", settings[i].path);
		cr_assert_eq(help[strlen(help) - 1], '.', "%s", settings[i].path);
	}
}

Test(schema, has_words_exactly_for_enumerations)
{
	for (size_t i = 0; i < n_settings; i++)
		cr_assert_eq(settings[i].type == SETTING_ENUM, settings[i].names != NULL, "%s",
			     settings[i].path);
}

/* tests/process/reload_effects.c tries each of them. */
Test(schema, says_what_a_change_leads_to)
{
	for (size_t i = 0; i < n_settings; i++) {
		const struct setting *s = &settings[i];

		if (s->flags & SETTING_IGNORED)
			cr_assert_eq(s->affects, AFFECTS_NOTHING, "%s", s->path);
		if (strncmp(s->path, "redirect.", 9) == 0 ||
		    (strncmp(s->path, "safety.", 7) == 0 && strcmp(s->path, "safety.confirm") != 0))
			cr_assert(s->affects & AFFECTS_RULES, "%s", s->path);
		if (strncmp(s->path, "kumaDP.", 7) == 0)
			cr_assert(s->affects & AFFECTS_KUMA_DP, "%s", s->path);
	}
	cr_assert(setting_by_path("backend")->affects & AFFECTS_START);
}

Test(schema, knows_all_of_kumactl)
{
	size_t n = 0;

	for (size_t i = 0; i < n_settings; i++)
		n += !!settings[i].kumactl;
	/* 15 at the top (retry, log and comments among them), 9 for each direction, 5 for DNS,
	 * 1 for virtual networks, 7 for eBPF. */
	cr_assert_eq(n, 15 + 2 * 9 + 5 + 1 + 7);
	cr_assert_eq(setting_by_flag("kuma-dp-uid"), setting_by_path("kumaDPUser"));
}

Test(schema, looks_paths_up_without_regard_to_case)
{
	cr_assert_eq(setting_by_path("REDIRECT.inbound.PORT"),
		     setting_by_path("redirect.inbound.port"));
	cr_assert_null(setting_by_path("redirect.inbound"));
	cr_assert_null(setting_by_path(""));
	cr_assert_null(setting_by_flag("port"));
	cr_assert_null(setting_by_env("PATH"));
}

Test(schema, suggests_what_is_near)
{
	static const struct {
		const char *path, *suggestion;
	} rows[] = {
		{ "redirect.inbound.prot", "redirect.inbound.port" },
		{ "redirect.inboud.port", "redirect.inbound.port" },
		{ "kumaDpUsr", "kumaDPUser" },
		{ "verbos", "verbose" },
		{ "redirect.DNS.enable", "redirect.dns.enabled" },
	};

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		const struct setting *s = setting_suggest(rows[i].path);

		cr_assert_not_null(s, "%s", rows[i].path);
		cr_assert_str_eq(s->path, rows[i].suggestion);
	}
	cr_assert_null(setting_suggest("something.else"));
	cr_assert_null(setting_suggest("redirct.inboud.port"), "two components differ");
	cr_assert_null(setting_suggest("redirect.inbound.port.prot"));
	cr_assert_not_null(setting_suggest("redirect.inboud"), "a section");
}
