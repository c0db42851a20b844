/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whole reads and writes, over interruptions; lines for people; addresses of sockets. */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

#include "common/base/attr.h"
#include "common/base/strbuf.h"

/* Appends what fd gives, to its end or until more than max bytes are there (look at ret->len).
 * Returns 0 or a negative errno. */
int io_read_all(int fd, size_t max, struct strbuf *ret) _must_check_;

/* Returns 0 or a negative errno; then a part may have been written. */
int io_write_all(int fd, const void *data, size_t len) _must_check_;

/* Prints the text as one line that does no harm to a terminal, whoever wrote it. Errors are left to
 * ferror(3). */
void io_print_line(FILE *out, const char *text);

/* The address of a socket of unix(7) at path; false where that is too long. */
bool io_unix_address(const char *path, struct sockaddr_un *ret) _must_check_;
