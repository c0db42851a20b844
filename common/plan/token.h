/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The data plane token, as far as it can be judged without the key that signed it: kuma-dp never
 * exits because of a token that the control plane refuses. */

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Whether text (blanks around it aside) has the form of a JWT whose `exp`, where it has one, is
 * after now_sec (Unix time). The sentence never quotes the token. */
int token_check(const char *text, size_t len, uint64_t now_sec, struct error *err) _must_check_;
