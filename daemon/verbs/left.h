/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is in the kernel while no daemon runs. */

#include <jansson.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* The status of a host without a daemon (packaging/status.schema.json); to be freed. Only root can
 * see the rules; for anybody else, and where something is in the way, "left" is null. Returns 0 or
 * -ENOMEM. */
int left_status(json_t **ret, struct error *err) _must_check_;
