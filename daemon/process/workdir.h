/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The directory that belongs to the kuma-dp user, and the files that children are given. Root in
 * the unit has no CAP_DAC_OVERRIDE: what lies in the user's directory is reached with the user's
 * fsuid (setfsuid(2)); what lies beside it is made by root and handed over with chown.
 */

#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/supervise/command.h"

/* Makes path (mode 0711, owned by uid:gid) where it is missing and removes everything in it. */
int workdir_wipe(const char *path, uid_t uid, gid_t gid, struct error *err) _must_check_;

/* Removes the directory with everything in it; that it is not there is no error. */
int workdir_remove(const char *path, uid_t uid, gid_t gid, struct error *err) _must_check_;

/* Writes the command's files, replacing old ones; owner uid:gid. `work` is the user's directory. */
int workdir_write(const struct command *command, const char *work, uid_t uid, gid_t gid,
		  struct error *err) _must_check_;
