/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules as the byte blobs of the xtables ABI (struct ipt_entry, struct ip6t_entry with matches and
 * a target), as libiptc takes them: jumps and verdicts are names, resolved by libiptc.
 */

#include <stddef.h>

#include "common/base/error.h"
#include "common/rules/ruleset.h"

/* Longer than any entry that encode_xt() makes. */
#define XT_ENTRY_MAX 1024

struct xt_blob {
	_Alignas(max_align_t) unsigned char data
		[XT_ENTRY_MAX]; /* a struct ipt_entry or ip6t_entry */
	size_t len;
};

/* Writes one expanded rule into blob (its former content is dropped). Returns 0, or -EINVAL when
 * the rule cannot be expressed (more than 15 multiport slots, an interface name of 16 bytes). */
int encode_xt(const struct rule *rule, const struct rule_text *text, enum family family,
	      struct xt_blob *blob, struct error *err) _must_check_;
