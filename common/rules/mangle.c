/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

void build_mangle(struct build *b)
{
	const struct rule invalid = {
		.comment = "drop packets in the INVALID state to prevent potential issues with "
			   "malformed or out-of-order packets",
		.ctstate_invalid = true,
		.verdict = { .kind = VERDICT_DROP },
	};

	if (b->level >= LEVEL_NO_DNS && b->f->drop_invalid)
		chain_append(b, build_chain(b, "PREROUTING", true), &invalid);
}
