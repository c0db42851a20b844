/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A configuration from one file, variables and flags, and what was said about it; for tests. */

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/config/layers.h"
#include "common/config/value.h"

struct fixture {
	struct arena arena;
	struct loaded loaded;
	struct diag_list diags;
};

static inline void fixture_done(struct fixture *f)
{
	arena_done(&f->arena);
}
#define _fixture_ _cleanup_(fixture_done)

static inline void fixture_load(struct fixture *f, const struct layers *layers)
{
	memset(f, 0, sizeof(*f));
	f->diags.arena = &f->arena;
	cr_assert_eq(layers_load(&f->arena, layers, &f->loaded, &f->diags), 0);
}

static inline void fixture_file(struct fixture *f, const char *text)
{
	struct layer_file file = { .name = "t.yaml", .text = text, .len = strlen(text) };

	fixture_load(f, &(struct layers){ .files = &file, .n_files = 1 });
}

static inline void fixture_env(struct fixture *f, const char *variable)
{
	char *environ[] = { (char *)(uintptr_t)variable, NULL };

	fixture_load(f, &(struct layers){ .environ = environ });
}

static inline void fixture_flag(struct fixture *f, const char *flag, const char *value)
{
	struct layer_flag row = { .flag = flag, .value = value };

	fixture_load(f, &(struct layers){ .flags = &row, .n_flags = 1 });
}

/* The value of a setting as a variable would say it. */
static inline const char *fixture_value(struct fixture *f, const char *path)
{
	_strbuf_ struct strbuf text = { 0 };

	value_print(setting_by_path(path), &f->loaded.config, &text);
	return arena_strdup(&f->arena, strbuf_text(&text));
}

/* All that was said, a line each. */
static inline const char *fixture_said(struct fixture *f)
{
	_strbuf_ struct strbuf text = { 0 };

	for (size_t i = 0; i < f->diags.n; i++) {
		diag_print(&f->diags.items[i], &text);
		strbuf_addc(&text, '\n');
	}
	return arena_strdup(&f->arena, strbuf_text(&text));
}

/* Whether anything said contains part. */
static inline bool fixture_says(struct fixture *f, const char *part)
{
	return strstr(fixture_said(f), part);
}
