/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* base64 (RFC 4648) without padding. */

#include <stdbool.h>
#include <stddef.h>

/* The two characters in which the alphabets differ. */
#define BASE64_STANDARD "+/"
#define BASE64_URL      "-_"

/* Decodes len characters into out, which has room for 3 bytes for every 4 of them. False where it is
 * no base64. */
bool base64_decode(const char *text, size_t len, const char alphabet[static 2], unsigned char *out,
		   size_t *ret_len);
