/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The daemon's answers on the control socket. */

#include "daemon/operator/json.h"

/* A control_answer_t: dispatches status, reload and log-level. userdata is the daemon. */
json_t *status_answer(const char *request, const char *argument, void *userdata);
