/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * golden CASE...: configuration and facts to rules, compared byte for byte. A case is a directory:
 *
 *   case.yaml      what it is about; level, purpose, flags, environment
 *   config*.yaml   configuration files, in the order of their names
 *   facts.yaml     what differs from ../facts.yaml, the host that most cases have
 *   expected       what a dry run prints at that level; empty where the configuration is refused
 *   notices        the diagnostics, one a line; no file: none
 *
 * With UPDATE_GOLDEN=1 in the environment the last two are written instead of compared.
 */

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/plan/plan_build.h"
#include "common/rules/print_restore.h"
#include "common/rules/ruleset.h"
#include "tests/golden/reader.h"

struct file_list {
	struct layer_file *items;
	size_t n;
};

struct flag_list {
	struct layer_flag *items;
	size_t n;
};

static const char *path_in(struct arena *arena, const char *dir, const char *name)
{
	return arena_printf(arena, "%s/%s", dir, name);
}

static struct file_list files_of(struct arena *arena, const char *dir)
{
	struct file_list list = { 0 };
	glob_t found;

	if (glob(path_in(arena, dir, "config*.yaml"), 0, NULL, &found) != 0)
		return list;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct layer_file file = {
			.name = arena_strdup(arena, strrchr(found.gl_pathv[i], '/') + 1),
		};

		file.text = text_read(arena, found.gl_pathv[i], &file.len);
		array_push(arena, &list, file);
	}
	globfree(&found);
	return list;
}

static struct flag_list flags_of(struct arena *arena, const struct string_list *texts)
{
	struct flag_list list = { 0 };

	for (size_t i = 0; i < texts->n; i++) {
		const char *name = texts->items[i] + 2;
		const char *equals = strchr(name, '=');
		struct layer_flag flag = { .flag = name, .value = "true" };

		if (strncmp(texts->items[i], "--", 2) != 0)
			die("%s: not a flag", texts->items[i]);
		if (equals) {
			flag.flag = arena_strndup(arena, name, (size_t)(equals - name));
			flag.value = equals + 1;
		}
		array_push(arena, &list, flag);
	}
	return list;
}

static char **environ_of(struct arena *arena, const struct string_list *texts)
{
	char **list = arena_alloc(arena, (texts->n + 1) * sizeof(*list));

	for (size_t i = 0; i < texts->n; i++)
		list[i] = arena_strdup(arena, texts->items[i]);
	return list;
}

/* What a dry run prints; nothing after an error. */
static void case_run(struct arena *arena, const char *dir, struct diag_list *diags,
		     struct strbuf *out)
{
	struct golden_case c = { .level = LEVEL_FULL, .purpose = CHECK_INSTALL };
	struct file_list files = files_of(arena, dir);
	struct facts facts = { 0 };
	struct loaded loaded = { 0 };
	struct plan plan = { 0 };
	struct ruleset rules;
	struct flag_list flags;
	struct layers layers;

	case_read(arena, path_in(arena, dir, "case.yaml"), &c);
	facts_read(arena, path_in(arena, dir, "../facts.yaml"), &facts);
	facts_read(arena, path_in(arena, dir, "facts.yaml"), &facts);
	flags = flags_of(arena, &c.flags);
	layers = (struct layers){
		.files = files.items,
		.n_files = files.n,
		.environ = environ_of(arena, &c.env),
		.flags = flags.items,
		.n_flags = flags.n,
	};
	if (layers_load(arena, &layers, &loaded, diags) < 0)
		die("out of memory");
	check_config(&loaded, c.purpose, diags);
	if (plan_build(arena, &loaded, &facts, c.purpose, &plan, diags) < 0)
		die("out of memory");
	if (diags->n_errors > 0)
		return;
	ruleset_build(arena, &plan, c.level, &rules);
	print_dry_run(&rules, out);
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
	_strbuf_ struct strbuf rules = { 0 }, notices = { 0 };
	const char *expected = path_in(&arena, dir, "expected");
	const char *noted = path_in(&arena, dir, "notices");
	bool same;

	if (access(path_in(&arena, dir, "case.yaml"), R_OK) < 0)
		die("%s/case.yaml: %s", dir, strerror(errno));
	case_run(&arena, dir, &diags, &rules);
	for (size_t i = 0; i < diags.n; i++) {
		diag_print(&diags.items[i], &notices);
		strbuf_addc(&notices, '\n');
	}
	if (arena.failed || rules.failed || notices.failed)
		die("out of memory");
	if (getenv("UPDATE_GOLDEN")) {
		text_write(expected, &rules, true);
		text_write(noted, &notices, false);
		return true;
	}
	same = text_compare(&arena, expected, &rules);
	return text_compare(&arena, noted, &notices) && same;
}

int main(int argc, char *argv[])
{
	bool same = argc > 1;

	for (int i = 1; i < argc; i++)
		same = case_check(argv[i]) && same;
	return same ? 0 : 1;
}
