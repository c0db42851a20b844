/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* JSON for the control socket: written piece by piece into a buffer, commas by themselves. */

#include <stdbool.h>
#include <stdint.h>

#include "common/base/strbuf.h"

/* Opens and closes an object or array; name is NULL inside arrays and at the top. */
void json_open(struct strbuf *out, const char *name, char bracket);
void json_close(struct strbuf *out, char bracket);

void json_string(struct strbuf *out, const char *name, const char *value); /* NULL: null */
void json_number(struct strbuf *out, const char *name, uint64_t value);
void json_bool(struct strbuf *out, const char *name, bool value);
