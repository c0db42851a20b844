/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/rules/nft_script.h"

#include <string.h>

#include "common/rules/lower_nft.h"

/* Goes on behind the word, where that is the next one. */
static bool take_word(const char **at, const char *word)
{
	const char *begin = *at + strspn(*at, " \t");
	size_t len = strcspn(begin, " \t\r\n{;");

	if (len != strlen(word) || memcmp(begin, word, len) != 0)
		return false;
	*at = begin + len;
	return true;
}

/* What only deletes or flushes one makes none. */
bool nft_script_names_ours(const char *text)
{
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		if (!take_word(&at, "add"))
			(void)take_word(&at, "create");
		if (take_word(&at, "table") && (take_word(&at, "ip") || take_word(&at, "ip6")) &&
		    take_word(&at, NFT_TABLE))
			return true;
	}
	return false;
}

bool nft_script_include(const char **at, const char **ret, size_t *len)
{
	while (**at) {
		bool found = take_word(at, "include");

		*at += strspn(*at, " \t");
		if (found && **at == '"') {
			*ret = *at + 1;
			*len = strcspn(*ret, "\"\n");
			*at = *ret + *len;
			if (**at == '"')
				return true;
		}
		*at += strcspn(*at, "\n");
		*at += **at == '\n';
	}
	return false;
}
