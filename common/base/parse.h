/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Text to plain values, strictly: the whole text or nothing, no locale, no leading blanks. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

/* Decimal digits only (leading zeros allowed), at most max. */
bool parse_decimal(const char *text, uint64_t max, uint64_t *ret) _must_check_;

/* As Go's strconv with base 0: decimal, 0x, 0o, 0b, leading-zero octal, "_" between digits. No
 * sign. */
bool parse_uint(const char *text, uint64_t max, uint64_t *ret) _must_check_;

/* A port, 1..65535, as decimal digits. */
bool parse_port(const char *text, uint16_t *ret) _must_check_;

/* Go's strconv.ParseBool: 1 t T TRUE true True, 0 f F FALSE false False. */
bool parse_bool(const char *text, bool *ret) _must_check_;

/* Go's time.ParseDuration: "1m30s", "250ms", "1.5h", "0"; may be negative.
 * Result in nanoseconds. */
bool parse_duration(const char *text, int64_t *ret_nsec) _must_check_;

/* The canonical form of a duration, as Go prints it ("1m30s", "250ms", "0s"). buf: 32 bytes. */
void print_duration(int64_t nsec, char ret[static 32]);

/* Takes the blanks off both ends of a text, in place; returns where it begins then. */
char *trim(char *text, const char *blanks);

/* How many single-character edits (insert, delete, replace, swap of neighbours) lead from a to b,
 * without regard to case; at most limit + 1. For "did you mean". */
unsigned edit_distance(const char *a, const char *b, unsigned limit);
