/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* JSON for the control socket, through jansson. */

#include <jansson.h>

/* A string for json_pack()'s "o", made clean: a user's name, say, need not be UTF-8. */
json_t *json_text(const char *text);

/* The answer to a request that cannot be served. */
json_t *json_refusal(const char *sentence);
