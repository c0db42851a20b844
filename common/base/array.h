/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Lists that grow inside an arena. A list is any struct with the members `items` (a pointer) and
 * `n` (a size_t); the room behind items follows from n (the next power of two), so nothing else is
 * kept.
 */

#include <stddef.h>

#include "common/base/arena.h"

struct string_list {
	const char **items;
	size_t n;
};

/* Makes room for one more element of size bytes and counts it. Returns the (zeroed) element, NULL
 * when the arena has failed (the list is then unchanged). */
void *array_grow(struct arena *arena, void *items, size_t *n, size_t size);

/* Appends a value; does nothing once the arena has failed. */
#define array_push(arena, list, ...)                                                             \
	do {                                                                                     \
		typeof((list)->items) slot_ =                                                    \
			array_grow((arena), &(list)->items, &(list)->n, sizeof(*(list)->items)); \
		if (slot_)                                                                       \
			*slot_ = (__VA_ARGS__);                                                  \
	} while (0)
