/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/digest.h"

#include <string.h>

static void add_word(struct digest *digest, uint64_t word)
{
	digest->a = (digest->a ^ word) * 0x100000001b3U;
	digest->a ^= digest->a >> 32;
	digest->b = (digest->b ^ word) * 0xff51afd7ed558ccdU;
	digest->b ^= digest->b >> 29;
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
	add_word(digest, len);
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, (const unsigned char *)data + at,
		       len - at < sizeof(word) ? len - at : sizeof(word));
		add_word(digest, word);
	}
}
