/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which settings differ between two configurations, in words. */

#include "common/base/array.h"
#include "common/config/config.h"

/* Appends a sentence for each setting that differs, as "failure.holdRules: 5s instead of 30s"; a value
 * that is long, or may be a secret, is not shown. In arena. */
void difference_of_configs(struct arena *arena, const struct config *former,
			   const struct config *next, struct string_list *ret);
