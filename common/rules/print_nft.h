/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Rules as a script that `nft -f` takes: in one transaction it replaces what is there of ours. */

#include "common/base/strbuf.h"
#include "common/rules/lower_nft.h"

void print_nft(const struct nft_ruleset *rules, struct strbuf *out);
