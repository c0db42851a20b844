/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The directory that belongs to the kuma-dp user, with the files that children are given. In the unit
 * it is a small file system of its own, and nothing outside of it belongs to that user, who could
 * fill /run otherwise. Root in the unit has no CAP_DAC_OVERRIDE: what lies in the directory is
 * reached with the user's fsuid (setfsuid(2)).
 */

#include <sys/types.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/supervise/command.h"

/* Makes path (mode 0711, owned by uid:gid) where it is missing and removes everything in it. */
int workdir_wipe(const char *path, uid_t uid, gid_t gid, struct error *err) _must_check_;

/* Removes the directory with everything in it; that it is not there is no error. What is mounted
 * there is emptied. */
int workdir_remove(const char *path, uid_t uid, gid_t gid, struct error *err) _must_check_;

/* Writes the command's files into the directory, as that user, replacing old ones. */
int workdir_write(const struct command *command, uid_t uid, gid_t gid, struct error *err)
	_must_check_;
