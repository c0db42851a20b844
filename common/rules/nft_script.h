/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a script for `nft -f` says, as nft lists a ruleset or as somebody has written it. */

#include <stdbool.h>
#include <stddef.h>

/* Whether it makes a table of ours. */
bool nft_script_names_ours(const char *text);

/* The next `include "NAME"` from *at on, which then is behind it: NAME, len bytes within the text, is a
 * path or a pattern (nft(8), "Include files"). False: there is none. */
bool nft_script_include(const char **at, const char **ret, size_t *len);
