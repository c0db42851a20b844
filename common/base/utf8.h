/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* UTF-8 as RFC 3629 has it: shortest forms, no surrogates. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/strbuf.h"

/* Length in bytes of the well-formed character at text, 0 when there is none; its code point goes to
 * ret. */
size_t utf8_char(const char *text, uint32_t *ret);

/* How many bytes to keep of a text that was cut behind its first len bytes: a character that has lost
 * its end goes as a whole. */
size_t utf8_cut(const char *text, size_t len);

/* vsnprintf() and snprintf() that cut what is too long at a character. */
void utf8_vprint(char *buf, size_t size, const char *fmt, va_list args) _printf_(3, 0);
void utf8_print(char *buf, size_t size, const char *fmt, ...) _printf_(3, 4);

/* Adds text as it may leave the program, for a journal, a terminal or systemd, whoever wrote it: one
 * line of UTF-8. Tabs and line breaks become blanks; other control characters (C0, DEL, C1), and
 * bytes that belong to no character, U+FFFD. What follows the len bytes must not go on with a
 * character of them: a NUL does not. */
void utf8_add_clean(struct strbuf *out, const char *text, size_t len);
