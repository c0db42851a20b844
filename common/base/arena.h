/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory of one generation (configuration, plan, rulesets): built once, never changed, freed as a
 * whole. Failure is sticky: after one failed allocation every other fails too, and whoever seals
 * the generation looks at `failed` once, so that builders need no check of their own.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

struct arena_block;

struct arena {
	struct arena_block *head; /* the block that is being filled */
	bool failed;              /* an allocation failed; what was built is incomplete */
};

/* Returns zeroed memory of size bytes, aligned for any type; NULL once the arena has failed. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same for text: a copy, a copy of len bytes plus NUL, a formatted text; NULL after failure. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *fmt, ...) _printf_(2, 3);
char *arena_vprintf(struct arena *arena, const char *fmt, va_list args) _printf_(2, 0);

/* Frees everything; the arena is empty and usable again. */
void arena_done(struct arena *arena);
