/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* An entry of the xtables ABI, normalised (xt_entry.h), as a shape (recognise.h). What encode_xt()
 * writes and nothing else is understood: all else makes the shape `other`. */

#include "common/rules/recognise.h"

void decode_xt(enum family family, const void *entry, struct shape *ret);
