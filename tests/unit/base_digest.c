/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/digest.h"

#include <criterion/criterion.h>
#include <string.h>

static struct digest of(const char *first, const char *second)
{
	struct digest digest = DIGEST_INIT;

	digest_add(&digest, first, strlen(first));
	digest_add(&digest, second, strlen(second));
	return digest;
}

static bool equal(struct digest a, struct digest b)
{
	return a.a == b.a && a.b == b.b;
}

Test(digest, is_the_same_for_the_same_items)
{
	cr_expect(
		equal(of("a longer text than a word", "b"), of("a longer text than a word", "b")));
}

Test(digest, tells_contents_lengths_and_places_of_cuts_apart)
{
	cr_expect_not(equal(of("a", "b"), of("a", "c")));
	cr_expect_not(equal(of("a", "b"), of("b", "a")));
	cr_expect_not(equal(of("ab", "c"), of("a", "bc")));
	cr_expect_not(equal(of("1234567", ""), of("12345678", "")));
	cr_expect_not(equal(of("12345678", "9"), of("123456789", "")));
}

/* Every bit of an item counts, in both halves. */
Test(digest, changes_with_every_bit)
{
	unsigned char item[19] = { 0 };
	struct digest zero = DIGEST_INIT;

	digest_add(&zero, item, sizeof(item));
	for (size_t bit = 0; bit < sizeof(item) * 8; bit++) {
		struct digest changed = DIGEST_INIT;

		item[bit / 8] ^= (unsigned char)(1 << bit % 8);
		digest_add(&changed, item, sizeof(item));
		cr_expect_neq(changed.a, zero.a);
		cr_expect_neq(changed.b, zero.b);
		item[bit / 8] = 0;
	}
}
