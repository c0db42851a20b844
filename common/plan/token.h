/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The data plane token, as far as it can be judged without the key that signed it: kuma-dp never
 * exits because of a token that the control plane refuses. */

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/error.h"
#include "common/base/strbuf.h"
#include "common/config/config.h"

/* Who will show the token, and when. */
struct token_bearer {
	uint64_t now_sec;             /* Unix time */
	const char *mesh, *name;      /* of the Dataplane; NULL: not known */
	const struct pair_list *tags; /* of all its inbounds and its gateway; NULL: not known */
};

#define TOKEN_NOT_YET 1

/* Whether text (blanks around it aside) has the form of a JWT that a control plane takes from the
 * bearer, now. Returns 0; TOKEN_NOT_YET where it will later, by this host's clock; -EINVAL. The
 * sentence of the last two has nothing of the token but what it says about its bearer.
 * ret_expires_sec, Unix time, is set by the first two; 0: it never expires. */
int token_check(const char *text, size_t len, const struct token_bearer *bearer,
		uint64_t *ret_expires_sec, struct error *err) _must_check_;

/* How near the end of a token is: what an operator is told once each. */
enum token_age {
	TOKEN_FRESH,
	TOKEN_LAST_WEEK,
	TOKEN_LAST_DAY,
	TOKEN_EXPIRED,
};

enum token_age token_age(uint64_t expires_sec, uint64_t now_sec);

/* Adds "expires on 2033-05-18 03:33:20 UTC, in 6 days", "expired on …". */
void token_print_expiry(uint64_t expires_sec, uint64_t now_sec, struct strbuf *out);
