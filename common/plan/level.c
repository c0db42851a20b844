/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/level.h"

const char *level_name(enum level level)
{
	switch (level) {
	case LEVEL_NONE:
		return "none";
	case LEVEL_DRAIN:
		return "drain";
	case LEVEL_NO_DNS:
		return "no-dns";
	case LEVEL_FULL:
		return "full";
	case LEVEL_UNKNOWN:
		break;
	}
	return "unknown";
}
