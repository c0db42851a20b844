/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The kuma-dp user: looked up through NSS, created by the system's own tools. */

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/plan/facts.h"
#include "common/plan/new_user.h"

/* Looks up what kumaDPUser names (a UID, else a name; "": UID 5678, else kuma-dp). That nobody is
 * found is no error: ret->found is false. *ret_5678_name is who has UID 5678, or NULL. */
int user_lookup(struct arena *arena, const char *asked, struct facts_user *ret,
		const char **ret_5678_name, struct error *err) _must_check_;

/* Fills in the supplementary groups of a user that was found, without its own group. All sources of
 * groups are asked, which takes longer than all the rest of an installation. */
int user_groups(struct arena *arena, struct facts_user *user, struct error *err) _must_check_;

/* Creates the user: UID 5678 with a group of that number, where it is free, or a free system UID; no
 * login, no home. By useradd, else systemd-sysusers. */
int user_create(const struct new_user *user, struct error *err) _must_check_;
