/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * golden CASE...: configuration and facts to rules, compared byte for byte. A case is a directory:
 *
 *   case.yaml      what it is about; level, purpose, flags, environment
 *   config*.yaml   configuration files, in the order of their names
 *   facts.yaml     what differs from ../facts.yaml, the host that most cases have
 *   expected       what a dry run prints at that level; empty where the configuration is refused
 *   nftables       what nft is given at every level; no file where the configuration is refused
 *   notices        the diagnostics, one a line; no file: none
 *
 * With UPDATE_GOLDEN=1 in the environment the last three are written instead of compared.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/rules/print_nft.h"
#include "common/rules/print_restore.h"
#include "common/rules/ruleset.h"
#include "tests/golden/case.h"

static const char *path_in(struct arena *arena, const char *dir, const char *name)
{
	return arena_printf(arena, "%s/%s", dir, name);
}

/* What a dry run prints, and the same at every level for nft; nothing after an error. */
static void case_run(struct arena *arena, const char *dir, struct diag_list *diags,
		     struct strbuf *out, struct strbuf *nft)
{
	struct golden_case c;
	struct plan plan;
	struct ruleset rules;
	struct nft_ruleset lowered;

	if (!case_build(arena, dir, &c, &plan, diags))
		return;
	ruleset_build(arena, &plan, c.level, &rules);
	print_dry_run(&rules, out);
	for (enum level level = 0; level < LEVEL_COUNT; level++) {
		strbuf_addf(nft, "%s#### %s ####\n", level > 0 ? "\n" : "", level_name(level));
		ruleset_build(arena, &plan, level, &rules);
		lower_nft(arena, &rules, &lowered);
		print_nft(&lowered, nft);
	}
}

static void text_write(const char *path, const struct strbuf *text, bool empty_too)
{
	FILE *f;

	if (text->len == 0 && !empty_too) {
		(void)unlink(path);
		return;
	}
	f = fopen(path, "we");
	if (!f || fputs(strbuf_text(text), f) < 0 || fclose(f) != 0)
		die("%s: %s", path, strerror(errno));
}

/* Names the first line that differs. Returns whether none does. */
static bool text_compare(struct arena *arena, const char *path, const struct strbuf *text)
{
	size_t len = 0;
	const char *want = text_read(arena, path, &len);
	const char *got = strbuf_text(text);

	if (!want)
		want = "";
	for (unsigned line = 1;; line++) {
		size_t want_len = strcspn(want, "\n"), got_len = strcspn(got, "\n");

		if (want_len != got_len || strncmp(want, got, got_len) != 0 ||
		    want[want_len] != got[got_len]) {
			(void)fprintf(stderr, "%s:%u: expected\n%.*s\ngot\n%.*s\n", path, line,
				      (int)want_len, want, (int)got_len, got);
			return false;
		}
		if (!want[want_len])
			return true;
		want += want_len + 1;
		got += got_len + 1;
	}
}

static bool case_check(const char *dir)
{
	_cleanup_(arena_done) struct arena arena = { 0 };
	struct diag_list diags = { .arena = &arena };
	_strbuf_ struct strbuf rules = { 0 }, nft = { 0 }, notices = { 0 };
	const char *expected = path_in(&arena, dir, "expected");
	const char *for_nft = path_in(&arena, dir, "nftables");
	const char *noted = path_in(&arena, dir, "notices");
	bool same;

	if (access(path_in(&arena, dir, "case.yaml"), R_OK) < 0)
		die("%s/case.yaml: %s", dir, strerror(errno));
	case_run(&arena, dir, &diags, &rules, &nft);
	for (size_t i = 0; i < diags.n; i++) {
		diag_print(&diags.items[i], &notices);
		strbuf_addc(&notices, '\n');
	}
	if (arena.failed || rules.failed || nft.failed || notices.failed)
		die("out of memory");
	if (getenv("UPDATE_GOLDEN")) {
		text_write(expected, &rules, true);
		text_write(for_nft, &nft, false);
		text_write(noted, &notices, false);
		return true;
	}
	same = text_compare(&arena, expected, &rules);
	same = text_compare(&arena, for_nft, &nft) && same;
	return text_compare(&arena, noted, &notices) && same;
}

int main(int argc, char *argv[])
{
	bool same = argc > 1;

	for (int i = 1; i < argc; i++)
		same = case_check(argv[i]) && same;
	return same ? 0 : 1;
}
