/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How much of the redirect is in the kernel. */

enum level {
	LEVEL_NONE, /* nothing of ours */
	/* chains and a conntrack reference, no jumps: open connections go on, new ones go direct */
	LEVEL_DRAIN,
	LEVEL_NO_DNS, /* all but the DNS redirect */
	LEVEL_FULL,
	LEVEL_COUNT,
	LEVEL_UNKNOWN = LEVEL_COUNT, /* not known: read it back */
};

/* "none", "drain", "no-dns", "full", "unknown". */
const char *level_name(enum level level);
