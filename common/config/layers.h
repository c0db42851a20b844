/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * From layers of text to one struct config: default < files in order < environment < flags. Each
 * layer is the same operation: (setting, text, origin) -> store. Reads nothing itself: the caller
 * hands in the files' text. All mistakes of all layers are collected; nothing stops at the first.
 */

#include <stddef.h>

#include "common/base/diag.h"
#include "common/config/config.h"
#include "common/config/schema.h"

struct layer_file {
	const char *name; /* for diagnostics */
	const char *text; /* NUL-terminated as well */
	size_t len;       /* bytes; NULs inside are an error */
};

struct layer_file_list {
	struct layer_file *items;
	size_t n;
};

struct layer_flag {
	const char *flag;  /* as written, without the leading dashes */
	const char *value; /* never NULL: a bool flag without "=" has "true" */
};

struct layers {
	const struct layer_file *files;
	size_t n_files;
	char *const *environ; /* NULL-terminated "NAME=value"; NULL: none */
	const struct layer_flag *flags;
	size_t n_flags;
};

/* A configuration with the origin of each value, indexed as `settings`. */
struct loaded {
	struct config config;
	struct origin *origins; /* n_settings of them */
};

/* Merges the layers into ret; what is wrong goes to diags. Everything lives in arena, which the
 * caller owns. Returns 0 (look at diags->n_errors) or -ENOMEM. */
int layers_load(struct arena *arena, const struct layers *layers, struct loaded *ret,
		struct diag_list *diags) _must_check_;

/* The origin of the setting with that path (which must exist). */
const struct origin *loaded_origin(const struct loaded *loaded, const char *path);
