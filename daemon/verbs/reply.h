/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The daemon's JSON replies, on the asking side: JSON is YAML, so libyaml reads them. */

#include <stdio.h>

#include "common/base/attr.h"
#include "common/base/error.h"

/* Judges a reply: 0 where "ok" is true, otherwise -EIO with the daemon's own sentence. */
int reply_check(const char *reply, struct error *err) _must_check_;

/* Prints it for people: a line per member, nested ones indented; "ok" is left out. */
int reply_print(const char *reply, FILE *out, struct error *err) _must_check_;
