/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "common/plan/resolv.h"

#include <ctype.h>
#include <string.h>

#define KEYWORD "nameserver"

/* The next word of a line, as Go's unicode.IsSpace cuts ASCII; advances *p. Returns its length, 0 at the end of the line. */
static size_t next_word(const char **p, const char *end, const char **ret_word)
{
	while (*p < end && isspace((unsigned char)**p))
		(*p)++;
	*ret_word = *p;
	while (*p < end && !isspace((unsigned char)**p))
		(*p)++;
	return (size_t)(*p - *ret_word);
}

static void add_server(const struct origin *origin, const char *word, size_t len,
		       struct ip_list ret[static FAMILY_COUNT], struct diag_list *diags)
{
	char text[IP_TEXT_MAX];
	struct ip_addr addr;

	/* A NUL would end the text early and let what stands before it pass. */
	if (len < sizeof(text) && !memchr(word, 0, len)) {
		memcpy(text, word, len);
		text[len] = 0;
		if (ip_parse(text, &addr)) {
			array_push(diags->arena, &ret[addr.family], addr);
			return;
		}
	}
	diag_add_host(diags, SEVERITY_NOTICE, origin, NULL,
		      "nameserver '%.*s' is skipped: not an address that a rule can name%s",
		      (int)(len < IP_TEXT_MAX ? len : IP_TEXT_MAX), word,
		      memchr(word, '%', len) ? " (it has a zone)" : "");
}

void resolv_parse(const char *path, const char *text, size_t len,
		  struct ip_list ret[static FAMILY_COUNT], struct diag_list *diags)
{
	const char *end = text + len, *line = text;
	struct origin origin = { .kind = ORIGIN_FILE, .name = path };

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = newline ? newline : end;
		const char *p = line, *word;
		size_t n = next_word(&p, line_end, &word);

		origin.line++;
		if (n == strlen(KEYWORD) && memcmp(word, KEYWORD, n) == 0) {
			n = next_word(&p, line_end, &word);
			origin.column = (unsigned)(word - line) + 1;
			if (n)
				add_server(&origin, word, n, ret, diags);
		}
		line = newline ? newline + 1 : end;
	}
}

bool resolv_is_here(const struct facts *facts, const struct ip_addr *server)
{
	return ip_is_loopback(server) || ip_list_has(&facts->addresses, server);
}

bool resolv_find_option(const char *text, size_t len, const char *option, struct origin *ret)
{
	const char *end = text + len, *next = text;
	size_t option_len = strlen(option), n;
	unsigned number = 0;

	while (next < end) {
		const char *line = next, *p = line, *word;
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		const char *line_end = newline ? newline : end;

		next = newline ? newline + 1 : end;
		number++;
		n = next_word(&p, line_end, &word);
		/* For the C library the keyword begins its line. */
		if (word != line || n != strlen("options") || memcmp(word, "options", n) != 0)
			continue;
		while ((n = next_word(&p, line_end, &word))) {
			if (n != option_len || memcmp(word, option, n) != 0)
				continue;
			ret->line = number;
			ret->column = (unsigned)(word - line) + 1;
			return true;
		}
	}
	return false;
}
