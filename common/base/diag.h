/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is wrong or worth knowing, as values: collected while a configuration is loaded and a plan
 * is built, printed by `check`, logged by the daemon. Warnings and notices are diagnostics too.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/strbuf.h"

enum origin_kind {
	ORIGIN_NONE, /* the host, not the configuration */
	ORIGIN_DEFAULT,
	ORIGIN_FILE, /* name: the file */
	ORIGIN_ENV,  /* name: the variable */
	ORIGIN_FLAG, /* name: the option, without dashes */
};

/* Where a value came from. */
struct origin {
	enum origin_kind kind;
	const char *name;
	unsigned line, column; /* of a file, from 1; 0: the file as a whole */
};

enum severity {
	/* the configuration is refused (exit 78), or the host cannot do it (exit 1) */
	SEVERITY_ERROR,
	SEVERITY_WARNING, /* works, but probably not as wanted */
	SEVERITY_NOTICE,  /* a decision or degradation that an operator should know of */
};

struct diag {
	enum severity severity;
	bool host;            /* about this host, not about the configuration's text */
	struct origin origin; /* name lives as long as the list's arena */
	const char *setting;  /* path of the setting, NULL where it is about none */
	const char *text;
};

struct diag_list {
	struct arena *arena; /* keeps the texts */
	struct diag *items;
	size_t n;
	size_t n_errors;
};

/* Appends one. origin and setting may be NULL; both are copied into the list's arena. */
void diag_add(struct diag_list *list, enum severity severity, const struct origin *origin,
	      const char *setting, const char *fmt, ...) _printf_(5, 6);

/* The same about the host (struct diag.host). */
void diag_add_host(struct diag_list *list, enum severity severity, const struct origin *origin,
		   const char *setting, const char *fmt, ...) _printf_(5, 6);

/* Appends diag with the text of fmt; what it names is copied into the list's arena. */
void diag_vadd(struct diag_list *list, struct diag diag, const char *fmt, va_list args)
	_printf_(3, 0);

/* Whether an error of the given kind (about the host or about the configuration) is in the list. */
bool diag_has_error(const struct diag_list *list, bool host);

/* "/etc/x.yaml:12:9", "$NAME", "--flag", "default"; "" for none. */
void origin_print(const struct origin *origin, struct strbuf *out);

/* One line without newline: "FILE:LINE:COLUMN: error: SETTING: text". */
void diag_print(const struct diag *diag, struct strbuf *out);
