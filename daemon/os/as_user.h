/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Acting as another user as far as files go (setfsuid(2)): root in the unit has no CAP_DAC_OVERRIDE,
 * and what belongs to the kuma-dp user is reached as that user.
 */

#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* From here to as_ourselves(), which is called whether it succeeded or not. */
int as_user(uid_t uid, gid_t gid, struct error *err) _must_check_;
void as_ourselves(void);
