/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the children said last, read back from the journal: kuma-dp does not exit on a bad token or
 * an unreachable control plane, and the reason stands only in its log, at any level.
 */

#include <stdint.h>

#include "common/base/strbuf.h"

/* Appends, per program (_COMM) that logged as kuma-dp or coredns since since_usec (CLOCK_REALTIME)
 * in this invocation of the unit, the last line that speaks of a failure, else its last line:
 * "envoy said: …". Appends nothing when the journal cannot be read. */
void journal_quote_children(uint64_t since_usec, struct strbuf *out);
