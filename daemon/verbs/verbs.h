/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The verbs of the command line, one file for those that go together; main.c has the table of them. */

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "daemon/operator/json.h"

/* Each runs its verb: argv[0] is the verb's name. They return the exit status, or a negative errno
 * with the sentence in err. */
int verb_run(int argc, char *argv[], struct error *err) _must_check_;
int verb_prepare(int argc, char *argv[], struct error *err) _must_check_;
int verb_check(int argc, char *argv[], struct error *err) _must_check_;
int verb_install(int argc, char *argv[], struct error *err) _must_check_;
int verb_uninstall(int argc, char *argv[], struct error *err) _must_check_;
int verb_status(int argc, char *argv[], struct error *err) _must_check_;
int verb_reload(int argc, char *argv[], struct error *err) _must_check_;
int verb_reexec(int argc, char *argv[], struct error *err) _must_check_;
int verb_confirm(int argc, char *argv[], struct error *err) _must_check_;
int verb_log_level(int argc, char *argv[], struct error *err) _must_check_;
int verb_show_config(int argc, char *argv[], struct error *err) _must_check_;
int verb_describe(int argc, char *argv[], struct error *err) _must_check_;

/* Ends a verb whose options_load() or generation_new() did not return 0. Returns the exit status
 * after --help, and after a mistake on the command line, which it logs; else the errno. */
int verb_end(const char *verb, int answer, const struct error *err);

/* Asks the running daemon. Returns 0 with its answer, an object to be freed, where that is a yes;
 * CONTROL_NOBODY where none runs; else a negative errno, with its sentence where it says no. */
int verb_ask(const char *request, uint64_t timeout_usec, json_t **ret, struct error *err)
	_must_check_;

/* Writes the text to standard output. */
int verb_print(const struct strbuf *text, struct error *err) _must_check_;

/* 0 for root; else logs that the verb needs it and returns 77. */
int verb_needs_root(const char *verb) _must_check_;
