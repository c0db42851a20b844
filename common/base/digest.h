/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * 128 bits that tell contents apart: two lanes of multiply and fold, word by word. For contents that
 * nobody chooses in order to deceive: strength is no concern.
 */

#include <stddef.h>
#include <stdint.h>

struct digest {
	uint64_t a, b; /* the result */
};

/* clang-format off */
#define DIGEST_INIT { 0xcbf29ce484222325, 0x9e3779b97f4a7c15 }
/* clang-format on */

/* Adds one item: its length counts, so that "ab", "c" is not "a", "bc". */
void digest_add(struct digest *digest, const void *data, size_t len);
