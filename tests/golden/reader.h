/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * case.yaml and facts.yaml of the golden cases. A mistake in them ends the program: they are part
 * of the test, not of what is tested.
 */

#include "common/base/arena.h"
#include "common/config/check.h"
#include "common/plan/facts.h"
#include "common/plan/level.h"

struct golden_case {
	enum level level;
	enum check_purpose purpose;
	struct string_list flags; /* "--name=value" or "--name" */
	struct string_list env;   /* "NAME=value" */
};

_Noreturn void die(const char *fmt, ...) _printf_(1, 2);

/* Puts what the file says over what ret says; a file that does not exist changes nothing. */
void case_read(struct arena *arena, const char *path, struct golden_case *ret);
void facts_read(struct arena *arena, const char *path, struct facts *ret);

/* The file's text in the arena, NULL where there is none. */
const char *text_read(struct arena *arena, const char *path, size_t *ret_len);
