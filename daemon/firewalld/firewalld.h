/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Our rules in firewalld's permanent direct configuration, DIR/direct.xml: put in by `install
 * --store-firewalld`, taken out by `uninstall`. What others have written there stays to the byte;
 * the file is replaced as a whole, with its mode and owner, or not at all.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/error.h"
#include "common/rules/ruleset.h"

#define FIREWALLD_DIR "/etc/firewalld"

/* The new file, written beside the one that it will replace. */
struct firewalld_change {
	char path[PATH_MAX];           /* what is replaced, links followed */
	char temporary[PATH_MAX + 32]; /* "": nothing is to be changed */
};

/* Writes the new file, and so finds out whether that can be done: no directory, a file that is no
 * direct configuration, no room. Nothing that firewalld reads is touched. */
int firewalld_stage(const char *dir, const struct ruleset *rules, struct firewalld_change *ret,
		    struct error *err) _must_check_;

/* Puts it in place. (Who changes the file between the two calls loses the change; it is the moment
 * that applying the rules takes.) */
int firewalld_commit(struct firewalld_change *change, struct error *err) _must_check_;

/* Removes the new file if it was not put in place. */
void firewalld_change_done(struct firewalld_change *change);
#define _firewalld_change_ _cleanup_(firewalld_change_done)

/* Takes our entries out; a file that then is as one that we made is removed. *ret_n says how many
 * there were (with dry_run: are). Without directory or file, and where the file cannot be read but
 * does not name us either, there are none. */
int firewalld_remove(const char *dir, bool dry_run, size_t *ret_n, struct error *err) _must_check_;
