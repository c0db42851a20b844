/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's log: the journal with fields where stderr is the journal; elsewhere lines on stderr,
 * "tproxyd: text" on a terminal, "error: text" in a pipe or a file. Sentences start with a capital, have no final period, and name the object. Only
 * main.c, the verbs and on_* callbacks log; everything between returns errors.
 *
 * A journal that hangs holds nobody up: what it does not take waits, up to a limit; what is beyond
 * that is counted, and the count is told once the journal takes messages again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/diag.h"
#include "common/base/error.h"
#include "common/config/config.h"

#define LOG_TEXT_MAX 3072 /* what is longer is cut: three quotes of the children fit */

void log_init(void);

/* At the end of the program, or where another one is executed: up to a second for what waits. */
void log_done(void);

/* Hands over what waits. To be called again and again while nothing else is said. */
void log_flush(void);

/* Whether stderr is the journal: then children's output is relayed (relay.h). */
bool log_is_journal(void);

/* A line of a child, under its name, with the process that wrote it. Returns whether the journal has
 * taken it; our own messages go first. Only where log_is_journal(). */
bool log_child(const char *name, pid_t pid, const char *text, size_t len);

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

void log_error(const struct error *err, const char *fmt, ...) _printf_(2, 3); /* err may be NULL */

#define log_warning(...) log_event(LOG_LEVEL_WARNING, NULL, NULL, __VA_ARGS__)
#define log_notice(...)  log_event(LOG_LEVEL_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_info(...)    log_event(LOG_LEVEL_INFO, NULL, NULL, __VA_ARGS__)
#define log_debug(...)   log_event(LOG_LEVEL_DEBUG, NULL, NULL, __VA_ARGS__)

/* An event: id is one of messages.h, or NULL where it is not catalogued; fields (may be NULL) a
 * NULL-terminated list of "NAME=value" texts. */
void log_event(enum log_level level, const char *id, const char *const *fields, const char *fmt,
	       ...) _printf_(4, 5);

/* A diagnostic at its own level; about the configuration with TPROXYD_CONFIG_FILE and _LINE. */
void log_diag(const struct diag *diag);
