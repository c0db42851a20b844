/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/build.h"

void build_mangle(struct build *b)
{
	if (b->level >= LEVEL_NO_DNS && b->f->drop_invalid)
		RULE(b, build_chain(b, "PREROUTING", true),
		     "drop packets in the INVALID state to prevent potential issues with "
		     "malformed or out-of-order packets",
		     .ctstate_invalid = true, .verdict = { .kind = VERDICT_DROP });
}
