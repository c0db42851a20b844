/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/base/base64.h"

static int sextet(char c, const char alphabet[static 2])
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == alphabet[0] ? 62 : c == alphabet[1] ? 63 : -1;
}

bool base64_decode(const char *text, size_t len, const char alphabet[static 2], unsigned char *out,
		   size_t *ret_len)
{
	unsigned bits = 0, n_bits = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		int value = sextet(text[i], alphabet);

		if (value < 0)
			return false;
		bits = (bits << 6 | (unsigned)value) & 0xfff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			out[n++] = (unsigned char)(bits >> n_bits & 0xff);
		}
	}
	*ret_len = n;
	return true;
}
