/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Any text for any setting, as a variable, as a flag and as a flag given twice: what is taken is
 * printed in a form that is taken again and means the same. The first byte chooses the setting. */

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/ip.h"
#include "common/base/parse.h"
#include "common/config/value.h"

static void take(const struct setting *setting, const char *text, enum origin_kind kind,
		 unsigned times)
{
	struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	static const struct config empty;
	struct config config = empty, again = empty;
	struct strbuf first = { 0 }, second = { 0 };
	struct value_target target = {
		.arena = &arena,
		.config = &config,
		.setting = setting,
		.origin = { .kind = kind, .name = "fuzz" },
		.diags = &diags,
	};
	const struct yaml_node *root;
	bool ok = true;

	for (unsigned i = 0; i < times; i++) {
		target.append = i > 0;
		ok = value_from_text(&target, text) && ok;
	}
	assert(ok == (diags.n_errors == 0));
	if (ok) {
		value_print_yaml(setting, &config, &first);
		ok = yaml_load(&arena, "fuzz", strbuf_text(&first), first.len, &root, &diags);
		assert(ok && root);
		target.config = &again;
		ok = value_from_node(&target, root);
		assert(ok || setting->type == SETTING_STRING);
		value_print_yaml(setting, ok ? &again : &config, &second);
		assert(strcmp(strbuf_text(&first), strbuf_text(&second)) == 0);
	}
	strbuf_done(&first);
	strbuf_done(&second);
	arena_done(&arena);
}

/* What the base layer parses has to survive its own printing too. */
static void base(const char *text)
{
	char printed[IP_TEXT_MAX], duration[32];
	struct ip_prefix prefix, same;
	int64_t nsec, back;

	if (ip_prefix_parse(text, &prefix)) {
		bool ok;

		ip_prefix_print(&prefix, printed);
		ok = ip_prefix_parse(printed, &same);
		assert(ok && ip_equal(&prefix.addr, &same.addr) && prefix.len == same.len);
		(void)ok;
	}
	if (parse_duration(text, &nsec)) {
		bool ok;

		print_duration(nsec, duration);
		ok = parse_duration(duration, &back);
		assert(ok && nsec == back);
		(void)ok;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct setting *setting;
	char *text;

	if (size == 0)
		return 0;
	setting = &settings[data[0] % n_settings];
	text = strndup((const char *)data + 1, size - 1);
	assert(text);
	take(setting, text, ORIGIN_ENV, 1);
	take(setting, text, ORIGIN_FLAG, 1);
	take(setting, text, ORIGIN_FLAG, 2);
	(void)setting_suggest(text);
	base(text);
	free(text);
	return 0;
}
