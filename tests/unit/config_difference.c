/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/config/difference.h"

#include "config_load.h"

static struct string_list words;

static void compare(struct fixture *a, struct fixture *b)
{
	words = (struct string_list){ 0 };
	difference_of_configs(&b->arena, &a->loaded.config, &b->loaded.config, &words);
}

/* A file against one without anything in it. */
static void expect(const char *text, const char *sentence)
{
	_fixture_ struct fixture a, b;

	fixture_file(&a, "");
	fixture_file(&b, text);
	compare(&a, &b);
	cr_assert_eq(words.n, 1, "%s", text);
	cr_expect_str_eq(words.items[0], sentence);
}

Test(difference, is_none_between_equals)
{
	_fixture_ struct fixture a, b;

	fixture_file(&a, "redirect: {dns: {enabled: true}}");
	fixture_env(&b, "KUMA_TRANSPARENT_PROXY_REDIRECT_DNS_ENABLED=1");
	compare(&a, &b);
	cr_expect_eq(words.n, 0);
}

Test(difference, tells_setting_and_both_values)
{
	expect("redirect: {outbound: {excludePorts: [80, 443]}}",
	       "redirect.outbound.excludePorts: 80,443 instead of nothing");
	expect("readiness: {timeout: 10s}", "readiness.timeout: 10s instead of 3m");
	expect("safety: {protectSSH: true}", "safety.protectSSH: true instead of auto");
}

Test(difference, keeps_secrets_and_long_values_to_itself)
{
	_strbuf_ struct strbuf text = { 0 };

	expect("kumaDP: {env: {KEY: secret}}", "kumaDP.env is another");
	expect("kumaDP: {extraArgs: [--secret]}", "kumaDP.extraArgs is another");
	strbuf_add(&text, "redirect: {outbound: {excludePorts: [1");
	for (int i = 2; i < 60; i++)
		strbuf_addf(&text, ", %d", i);
	strbuf_add(&text, "]}}");
	expect(strbuf_text(&text), "redirect.outbound.excludePorts is another");
}

Test(difference, is_told_of_every_setting_that_differs)
{
	_fixture_ struct fixture a, b;

	fixture_file(&a, "redirect: {inbound: {port: 1}, outbound: {port: 2}}");
	fixture_file(&b, "redirect: {inbound: {port: 2}, outbound: {port: 1}}");
	compare(&a, &b);
	cr_assert_eq(words.n, 2);
	cr_expect_str_eq(words.items[0], "redirect.inbound.port: 2 instead of 1");
	cr_expect_str_eq(words.items[1], "redirect.outbound.port: 1 instead of 2");
}
