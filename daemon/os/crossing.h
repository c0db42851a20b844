/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What crosses an execve(2): a text in a memfd that nobody can change any more, and descriptors, by
 * their numbers.
 */

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/supervise/handover.h"

/* Puts the text into a sealed memfd (owned by the caller, close-on-exec). */
int crossing_seal(const struct strbuf *text, int *ret_fd, struct error *err) _must_check_;

/* Reads it; one that is not sealed is refused. The text is to be freed by strbuf_done(). */
int crossing_read(int fd, struct strbuf *ret, struct error *err) _must_check_;

/* Adds the descriptor's number, as a fact, and lets it cross. */
void crossing_add_fd(struct strbuf *out, const char *prefix, const char *name, int fd);

/* Lets the descriptor cross, and says its number in the environment. */
bool crossing_hand_on(const char *variable, int fd);

/* The descriptor whose number the variable says; -1: none. */
int crossing_number(const char *variable);

/* Takes the number of a descriptor that may not be there in this process. */
int crossing_take_fd(struct handover *handover, const char *prefix, const char *name, int *ret)
	_must_check_;

/* From here on none crosses, but for standard input, output and error: to be called by a successor
 * that has taken over, and where it has not come to an execve(). */
void crossing_close(void);
