/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * status FILE.json: what is said of a recorded status: FILE.txt for people, FILE.metrics for
 * Prometheus. With UPDATE_GOLDEN=1 these are written. Whatever is in them, the text is a screen.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/utf8.h"
#include "common/report/report.h"

/* FILE with another end. */
static void other_end(const char *file, const char *end, char ret[static 4096])
{
	(void)snprintf(ret, 4096, "%.*s%s", (int)(strlen(file) - strlen(".json")), file, end);
}

static int write_whole(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return -1;
	(void)fputs(text, file);
	return fclose(file);
}

static bool is_in_file(const char *path, const char *text)
{
	char found[65536];
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(found, 1, sizeof(found) - 1, file) : 0;

	found[n] = '\0';
	if (file)
		(void)fclose(file);
	return file && strcmp(found, text) == 0;
}

static int compare(const char *json, const char *end, const char *text)
{
	char path[4096];

	other_end(json, end, path);
	if (getenv("UPDATE_GOLDEN"))
		return write_whole(path, text);
	if (is_in_file(path, text))
		return 0;
	fprintf(stderr, "%s is not what was said:\n%s", path, text);
	return -1;
}

static int check_screen(const char *text)
{
	size_t lines = 0, columns = 0;
	uint32_t c;

	for (size_t len; *text; text += len) {
		len = utf8_char(text, &c);
		columns = c == '\n' ? 0 : columns + 1;
		lines += c == '\n';
		if (len == 0 || columns > REPORT_COLUMNS || lines > REPORT_LINES) {
			fprintf(stderr, "line %zu, column %zu: no screen\n", lines, columns);
			return -1;
		}
	}
	return 0;
}

int main(int argc, char *argv[])
{
	json_auto_t *status = argc == 2 ? json_load_file(argv[1], 0, NULL) : NULL;
	_strbuf_ struct strbuf text = { 0 }, metrics = { 0 };
	int r;

	if (!status) {
		fprintf(stderr, "usage: status FILE.json\n");
		return 64;
	}
	report_text(status, false, &text);
	report_metrics(status, &metrics);
	r = compare(argv[1], ".txt", strbuf_text(&text));
	if (compare(argv[1], ".metrics", strbuf_text(&metrics)) < 0)
		r = -1;
	if (check_screen(strbuf_text(&text)) < 0)
		r = -1;
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
