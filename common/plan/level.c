/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/level.h"

const char *level_name(enum level level)
{
	static const char *const names[] = {
		[LEVEL_NONE] = "none", [LEVEL_DRAIN] = "drain",     [LEVEL_NO_DNS] = "no-dns",
		[LEVEL_FULL] = "full", [LEVEL_UNKNOWN] = "unknown",
	};

	return names[level];
}
