/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* resolv.conf as kumactl reads it: the word after "nameserver", per line, in order, duplicates
 * kept. */

#include <stddef.h>

#include "common/base/diag.h"
#include "common/plan/facts.h"

/* Splits the servers by family into ret[FAMILY_*], memory from the arena of diags. What is no address (a zone
 * such as fe80::1%eth0 included) is skipped with a notice that names it and path. */
void resolv_parse(const char *path, const char *text, size_t len,
		  struct ip_list ret[static FAMILY_COUNT], struct diag_list *diags);

/* Whether who asks the server asks this host. */
bool resolv_is_here(const struct facts *facts, const struct ip_addr *server);

/* Whether a line "options" of the C library has the option; ret's line and column are then where. */
bool resolv_find_option(const char *text, size_t len, const char *option, struct origin *ret);
