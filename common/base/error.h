/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A number for the caller, a sentence for the human. Sentences are lower-case fragments that
 * compose from right to left ("apply rules: table nat: commit: Resource temporarily unavailable");
 * they are built where the knowledge is and logged once, at the edge. Nobody branches on the
 * number.
 */

#include "common/base/attr.h"

/* What went wrong, in words. Lives on the caller's stack, owns nothing, needs no freeing. */
struct error {
	int code; /* the negative errno that was returned */
	char text[504];
};

/* Each returns code, so that it can stand in a return statement. err may be NULL. */
int error_set(struct error *err, int code, const char *fmt, ...) _printf_(3, 4);

/* The same, followed by ": " and the system's text for code. */
int error_sys(struct error *err, int code, const char *fmt, ...) _printf_(3, 4);

/* Puts "context: " in front of what err says already. */
int error_wrap(struct error *err, int code, const char *fmt, ...) _printf_(3, 4);
