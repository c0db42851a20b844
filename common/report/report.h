/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The status of this host as others take it: text for people, metrics for programs. What goes in is
 * the daemon's answer to `status`, or that of who found no daemon, as packaging/status.schema.json
 * describes it; a member that is missing leaves out what would be said of it.
 */

#include <stdbool.h>

#include <jansson.h>

#include "common/base/strbuf.h"

/* A screen of a terminal, and no more. */
#define REPORT_LINES   24
#define REPORT_COLUMNS 80

/* The first line is the answer. colour: with the codes of ECMA-48 for it. */
void report_text(const json_t *status, bool colour, struct strbuf *out);

/* OpenMetrics 1.0, with the end mark; what node_exporter's textfile collector reads as well. */
void report_metrics(const json_t *status, struct strbuf *out);

/* The exit status of `tproxyd status`: 0 redirecting and all is well; 3 not running; 4 running, and
 * not or not wholly redirecting. */
int report_exit_status(const json_t *status);
