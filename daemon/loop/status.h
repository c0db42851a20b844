/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The daemon's answers on the control socket. */

#include "common/base/strbuf.h"

struct daemon;

/* What is true now: phase, processes, readiness, rules per family and table as they are in the
 * kernel. */
void status_print(struct daemon *d, struct strbuf *out);

/* A control_answer_t: dispatches status, reload and log-level. userdata is the daemon. */
void status_answer(const char *request, const char *argument, struct strbuf *reply, void *userdata);
