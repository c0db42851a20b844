/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A rule as iptables-save prints it, or as iptables takes it, as a shape (recognise.h). */

#include <stdbool.h>

#include "common/rules/recognise.h"

/* Cuts a line into words in place: blanks between them, "quotes" around them, \ in front of a
 * character that is meant. At most max; returns how many there are, max + 1 when there are more. */
size_t words_split(char *line, const char **ret_words, size_t max);

/* The shape of a rule given as words without "-A CHAIN". Words that are not understood make it
 * `other`. */
void shape_parse(const char *const *words, size_t n, struct shape *ret);
