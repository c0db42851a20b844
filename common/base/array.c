/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/array.h"

#include <stdint.h>
#include <string.h>

void *array_grow(struct arena *arena, void *items, size_t *n, size_t size)
{
	unsigned char *p;
	size_t used = *n;

	memcpy(&p, items, sizeof(p));
	/* Full exactly when the count is 0 or a power of two. */
	if ((used & (used - 1)) == 0 || used == 0) {
		size_t room = used ? used * 2 : 1;
		unsigned char *larger;

		if (room > SIZE_MAX / size) {
			arena->failed = true;
			return NULL;
		}
		larger = arena_alloc(arena, room * size);
		if (!larger)
			return NULL;
		if (used)
			memcpy(larger, p, used * size);
		p = larger;
		memcpy(items, &p, sizeof(p));
	}
	(*n)++;
	return p + used * size;
}
