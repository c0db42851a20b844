/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Text inside other text: values in sentences for people, and scalars in YAML. */

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/strbuf.h"

/* The text in double quotes for a sentence: control characters and broken UTF-8 escaped, long
 * texts cut. "?" when the arena has failed. */
const char *quote_text(struct arena *arena, const char *text);

/* A YAML scalar that loads back as this text; plain where that is safe in
 * block and flow context. */
void quote_yaml(const char *text, struct strbuf *out);

/* Whether text is UTF-8 without control characters (but line breaks and tabs, where multiline) and
 * without what YAML cannot carry. */
bool text_is_clean(const char *text, bool multiline);
