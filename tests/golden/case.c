/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/golden/case.h"

#include <glob.h>
#include <string.h>

#include "common/plan/plan_build.h"

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

bool case_build(struct arena *arena, const char *dir, struct golden_case *ret,
		struct plan *ret_plan, struct diag_list *diags)
{
	struct file_list files = files_of(arena, dir);
	struct facts facts = { 0 };
	struct loaded loaded = { 0 };
	struct flag_list flags;
	struct layers layers;

	*ret = (struct golden_case){ .level = LEVEL_FULL, .purpose = CHECK_INSTALL };
	*ret_plan = (struct plan){ 0 };
	case_read(arena, path_in(arena, dir, "case.yaml"), ret);
	facts_read(arena, path_in(arena, dir, "../facts.yaml"), &facts);
	facts_read(arena, path_in(arena, dir, "facts.yaml"), &facts);
	flags = flags_of(arena, &ret->flags);
	layers = (struct layers){
		.files = files.items,
		.n_files = files.n,
		.environ = environ_of(arena, &ret->env),
		.flags = flags.items,
		.n_flags = flags.n,
	};
	if (layers_load(arena, &layers, &loaded, diags) < 0)
		die("out of memory");
	check_config(&loaded, ret->purpose, diags);
	if (plan_build(arena, &loaded, &facts, ret->purpose, ret_plan, diags) < 0)
		die("out of memory");
	return diags->n_errors == 0;
}
