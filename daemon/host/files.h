/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Files as the sandboxed unit and the kuma-dp user would find them. A part of daemon/host/host.h,
 * used by nobody else. */

#include "common/base/arena.h"
#include "common/plan/facts.h"

/* Who has to be able to do what with a file; a bit set. */
enum host_file_use {
	HOST_FILE_READ = 1 << 0,      /* we or the user: what only we can read is handed over */
	HOST_FILE_READ_USER = 1 << 1, /* the user itself */
	HOST_FILE_READ_US = 1 << 2,   /* we ourselves */
	HOST_FILE_EXECUTE = 1 << 3,   /* the user */
	HOST_FILE_TEXT = 1 << 4,      /* its content is wanted */
};

/* Judges one file; what is wrong is in ret->problem. Without root it is seen with our
 * own rights; a user that does not exist yet is taken to be able to do what root can. */
void host_file(struct arena *arena, const struct facts_user *user, const char *path, unsigned use,
	       struct facts_file *ret);

/* Reads a file with our own rights, wherever it is: for verbs that are not run by the unit. */
void host_file_plain(struct arena *arena, const char *path, struct facts_file *ret);

/* Takes CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH out of the effective set, as the unit does. */
int host_file_override_drop(void) _must_check_;
