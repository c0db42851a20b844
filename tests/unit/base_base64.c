/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/base64.h"

#include <criterion/criterion.h>
#include <string.h>

/* RFC 4648, 10, without the padding. */
static const char *const examples[][2] = {
	{ "", "" },           { "f", "Zg" },          { "fo", "Zm8" },          { "foo", "Zm9v" },
	{ "foob", "Zm9vYg" }, { "fooba", "Zm9vYmE" }, { "foobar", "Zm9vYmFy" },
};

Test(base64, reads_the_examples_of_its_rfc)
{
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		unsigned char out[16];
		size_t len = 99;

		cr_assert(base64_decode(examples[i][1], strlen(examples[i][1]), BASE64_URL, out,
					&len));
		cr_expect_eq(len, strlen(examples[i][0]));
		cr_expect_eq(memcmp(out, examples[i][0], len), 0);
	}
}

Test(base64, has_two_alphabets)
{
	unsigned char out[4];
	size_t len;

	cr_assert(base64_decode("-_-_", 4, BASE64_URL, out, &len));
	cr_expect_eq(memcmp(out, "\xfb\xff\xbf", 3), 0);
	cr_assert(base64_decode("+/+/", 4, BASE64_STANDARD, out, &len));
	cr_expect_eq(memcmp(out, "\xfb\xff\xbf", 3), 0);
	cr_expect_not(base64_decode("+/+/", 4, BASE64_URL, out, &len));
	cr_expect_not(base64_decode("-_-_", 4, BASE64_STANDARD, out, &len));
}

Test(base64, refuses_what_it_is_not)
{
	unsigned char out[8];
	size_t len;

	cr_expect_not(base64_decode("A", 1, BASE64_URL, out, &len));
	cr_expect_not(base64_decode("AAAAA", 5, BASE64_URL, out, &len));
	cr_expect_not(base64_decode("AA==", 4, BASE64_URL, out, &len));
	cr_expect_not(base64_decode("A A", 3, BASE64_URL, out, &len));
}
