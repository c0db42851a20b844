/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* UTF-8 as RFC 3629 has it: shortest forms, no surrogates. */

#include <stddef.h>
#include <stdint.h>

#include "common/base/strbuf.h"

/* Length in bytes of the well-formed character at text, 0 when there is none; its code point goes to
 * ret. */
size_t utf8_char(const char *text, uint32_t *ret);

/* Adds the text with U+FFFD for each byte that belongs to no character. */
void utf8_add(struct strbuf *out, const char *text);
