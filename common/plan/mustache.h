/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Text templates, in the subset of mustache that github.com/hoisie/mustache (which kuma-dp uses)
 * gives a meaning to when all values are text: {{x}} (HTML-escaped), {{{x}}}, {{&x}}, {{! … }},
 * {{#x}}…{{/x}}, {{^x}}…{{/x}}, {{=<% %>=}} and dotted names. No loops, no partials. Used for the
 * Dataplane resource and for our Corefile.
 */

#include <stddef.h>

#include "common/base/diag.h"
#include "common/config/config.h"

struct mustache {
	const char *path; /* for diagnostics */
	const char *text;
	size_t len;
	const struct pair_list *vars; /* "a.b" is b within a */
	enum severity unknown;        /* how a variable that is not among them is reported */
};

/* Returns the filled text, or NULL after an error was added to diags or when arena has failed. A
 * section is on when its variable exists, whatever its value; a section whose variable does not
 * exist is nothing unknown. */
char *mustache_render(struct arena *arena, const struct mustache *template,
		      struct diag_list *diags);
